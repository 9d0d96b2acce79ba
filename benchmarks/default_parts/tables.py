"""Tables of what was measured: means, and paired differences with their deviation over seeds."""

import statistics
from collections.abc import Mapping
from typing import Any

from default_parts.runs import SCORES

Results = Mapping[tuple[str, int, str, int], dict[str, Any]]  # by task, pictures, name and seed


def scores_of(results: Results, task: str, count: int, name: str) -> dict[int, float]:
    """The task's score of each seed that was measured."""
    return {
        seed: float(found["scores"][SCORES[task]])
        for (of, pictures, called, seed), found in results.items()
        if (of, pictures, called) == (task, count, name)
    }


def spread(values: list[float]) -> str:
    """The mean, and the standard deviation where there are several."""
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def difference(ours: Mapping[int, float], base: Mapping[int, float]) -> str:
    """Mean and deviation of the differences of runs of the same seed, and how many there are."""
    gains = [ours[seed] - base[seed] for seed in sorted(ours) if seed in base]
    if not gains:
        return "not measured"
    deviation = f" ± {statistics.stdev(gains):.4f}" if len(gains) > 1 else ""
    return f"{statistics.mean(gains):+.4f}{deviation} ({len(gains)})"


def row(results: Results, task: str, count: int, name: str, base: str) -> str:
    """One run beside the one that it is compared with, as cells of a table."""
    ours, theirs = scores_of(results, task, count, name), scores_of(results, task, count, base)
    if not ours:
        return f"| {task} | {count} | {name} | not measured | | |"
    seconds = [found["seconds"] for key, found in results.items() if key[:3] == (task, count, name)]
    own = "" if name == base else difference(ours, theirs)
    score = spread(list(ours.values()))
    return f"| {task} | {count} | {name} | {score} | {own} | {statistics.mean(seconds):.0f} |"


def header(against: str) -> str:
    columns = ("task", "pictures", "setting", "score", f"against {against} (seeds)", "CPU s")
    return "| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|"


def rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's, of two rows of scores without many ties."""

    def ranks(values: list[float]) -> list[float]:
        return [sum(other < value for other in values) + (values.count(value) - 1) / 2 for value in values]

    return statistics.correlation(ranks(first), ranks(second))


def sigma_line(results: Results) -> str:
    """Whether one sigma for all points puts the runs in the same order as their own do."""
    scores = [found["scores"] for (task, *_), found in results.items() if task == "pose"]
    if len(scores) < 3:
        return "OKS sigmas: not measured"
    own, one = ([found[name] for found in scores] for name in ("OKS", "OKS of one sigma"))
    return (
        f"Mean OKS of {len(scores)} runs: {statistics.mean(own):.4f} with COCO's sigmas, {statistics.mean(one):.4f} "
        f"with one for all; rank correlation of the runs {rank_correlation(own, one):.3f}"
    )
