"""Choose the few metrics of a test that are shown first."""

import math
from collections.abc import Mapping, Sequence

LINES = 10


def headlines(
    metrics: Mapping[str, float], first: Mapping[str, Sequence[str]], lines: int = LINES
) -> list[str]:
    """Return the names of the most important metrics: the score, then each head's most important ones in turn.

    Metrics of single classes and keypoints (`HEAD/METRIC/MEMBER`) and NaN are left out.

    Args:
        metrics: By name: `score`, `loss`, `HEAD/METRIC`.
        first: For each head its most important metrics, most important first.
        lines: Largest number of names.
    """
    queues = [order(name, metrics, list(wanted)) for name, wanted in first.items()]
    named = ["score"] if "score" in metrics else []
    for place in range(max(map(len, queues), default=0)):
        named += [queue[place] for queue in queues if place < len(queue)]
    chosen = set(named[:lines])
    # listed head by head, by importance
    return [name for name in [*named[:1], *(name for queue in queues for name in queue)] if name in chosen]


def order(head: str, metrics: Mapping[str, float], wanted: Sequence[str]) -> list[str]:
    """Return the names of a head's metrics, the wanted ones first.

    Args:
        head: Its name.
        metrics: By name.
        wanted: Metrics to put first, in order.
    """
    own = [name for name, value in metrics.items() if name.startswith(f"{head}/") and not math.isnan(value)]
    whole = [name for name in own if name.count("/") == 1]
    return sorted(whole, key=lambda name: rank(name.partition("/")[2], wanted))


def rank(metric: str, wanted: Sequence[str]) -> int:
    """Return the place of a metric among the wanted ones, or behind them."""
    return wanted.index(metric) if metric in wanted else len(wanted)


def table_of(metrics: Mapping[str, float], names: Sequence[str], prefix: str = "") -> str:
    """Return rows of a name and its value with four digits.

    Args:
        metrics: By name.
        names: Of the rows.
        prefix: Before each name.
    """
    width = max(len(prefix + name) for name in names) + 2
    return "\n".join(f"  {prefix + name:{width}}{digits(metrics[name])}" for name in names)


def digits(value: float) -> str:
    """Return a number with four digits after the point, or with four significant ones if it is very small or large."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
