"""Which of the many numbers of a test are said first."""

import math
from collections.abc import Mapping, Sequence

LINES = 10


def headlines(
    metrics: Mapping[str, float], first: Mapping[str, Sequence[str]], lines: int = LINES
) -> list[str]:
    """Names of the numbers that tell most: the score, then of each head in turn the next most telling one.

    Numbers of single classes and keypoints (`HEAD/METRIC/MEMBER`) are left out, and what is not a number.

    Args:
        metrics: by name: `score`, `loss`, `HEAD/METRIC`.
        first: of each head the metrics that matter most, the first one first.
        lines: names at most.
    """
    queues = [order(name, metrics, list(wanted)) for name, wanted in first.items()]
    named = ["score"] if "score" in metrics else []
    for place in range(max(map(len, queues), default=0)):
        named += [queue[place] for queue in queues if place < len(queue)]
    chosen = set(named[:lines])
    # said head by head, in the order of each one's importance
    return [name for name in [*named[:1], *(name for queue in queues for name in queue)] if name in chosen]


def order(head: str, metrics: Mapping[str, float], wanted: Sequence[str]) -> list[str]:
    """Return a head's numbers, the wanted ones first."""
    own = [name for name, value in metrics.items() if name.startswith(f"{head}/") and not math.isnan(value)]
    whole = [name for name in own if name.count("/") == 1]
    return sorted(whole, key=lambda name: rank(name.partition("/")[2], wanted))


def rank(metric: str, wanted: Sequence[str]) -> int:
    return wanted.index(metric) if metric in wanted else len(wanted)


def table_of(metrics: Mapping[str, float], names: Sequence[str], prefix: str = "") -> str:
    """Rows of a name and its number with four digits."""
    width = max(len(prefix + name) for name in names) + 2
    return "\n".join(f"  {prefix + name:{width}}{digits(metrics[name])}" for name in names)


def digits(value: float) -> str:
    """Four digits after the point, or where that says nothing four that count."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
