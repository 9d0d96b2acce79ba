"""Draw conclusions on probed backbones, in plain sentences: a ranking only if intervals do not overlap."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sapiens2_lit.report.headlines import digits

Found = Mapping[str, Any]  # content of results.json
BASELINES = ("random", "pixels", "position")
USUAL_SEEDS = 3
SMALL = "small/"


def conclusions(found: Found) -> list[str]:
    """Return sentences on the run, on every task and on the controls."""
    return [*on_run(found), *(on_task(found, task) for task in found["directions"]), *on_controls(found)]


def on_run(found: Found) -> list[str]:
    """Return sentences on the amount of training and testing."""
    facts = found["facts"]
    seeds, images = len(facts["seeds"]), facts["data"]["images"]
    sizes = ", ".join(f"{task} {one['test']}" for task, one in images.items())
    said = [
        f"Test images: {sizes}. Intervals are 95 % intervals over resampled test images, the same for every row."
    ]
    if seeds == 1:
        said.append("One seed: how much scores vary between trainings is not known.")
    elif seeds < USUAL_SEEDS:
        said.append(
            f"{seeds} seeds, fewer than the usual {USUAL_SEEDS}: deviations between trainings are rough."
        )
    return said


def on_task(found: Found, task: str) -> str:
    """Return a sentence on which rows are better, as far as that can be told."""
    metric, more = first_metric(found, task)
    rows = {label: one[task][metric] for label, one in found["backbones"].items() if task in one}
    rows = {label: score for label, score in rows.items() if is_known(score["mean"])}
    if not rows:
        return f"{task}, {metric}: no row has a value."
    best = (max if more else min)(rows, key=lambda label: rows[label]["mean"])
    others = [one for one in found["comparisons"] if one["task"] == task and one["better"] == best]
    apart = [one["worse"] for one in others if one["separate"]]
    near = [one["worse"] for one in others if not one["separate"]]
    said = f"{task}, {metric}: {best} is {'highest' if more else 'lowest'} with {digits(rows[best]['mean'])}"
    if apart:
        said += f" and better than {listed(apart)}"
    if near:
        joined = "it" if apart else "but it"
        said += f"; {joined} cannot be ranked against {listed(near)}, whose intervals overlap its own"
    said += "."
    unproved = [
        label
        for label in rows
        if label not in BASELINES and "random" in rows and not beats(rows[label], rows["random"], more)
    ]
    if unproved:
        verb = "does" if len(unproved) == 1 else "do"
        said += f" {listed(unproved)} {verb} not beat random initialization here, so this task says nothing of them."
    return said


def on_controls(found: Found) -> list[str]:
    """Return a sentence on whether probes on exchanged labels stay within what positions alone achieve."""
    failed = [one for one in found["controls"] if not one["passes"]]
    if not failed:
        return [
            "Controls: trained on labels of other pictures, no backbone beats position alone; the scores above come "
            "from what is in the pictures."
        ]
    each = "; ".join(
        f"{one['backbone']} on {one['task']} ({digits(one['permuted'])} against {digits(one['position'])})"
        for one in failed
    )
    return [
        f"Warning: trained on labels of other pictures, these beat position alone: {each}. Pictures of different "
        "splits or samples may share more than they should: do not trust these tasks."
    ]


def first_metric(found: Found, task: str) -> tuple[str, bool]:
    """Return the metric that decides, and whether more is better."""
    metric, more = next(iter(found["directions"][task].items()))
    return str(metric), bool(more)


def beats(score: Mapping[str, Any], other: Mapping[str, Any], more: bool) -> bool:
    """Return whether one score's interval lies entirely on the better side of another's.

    Args:
        score: The one.
        other: The other.
        more: Whether more is better.
    """
    (low, high), (other_low, other_high) = score["interval"], other["interval"]
    return bool(low > other_high if more else high < other_low)


def is_known(value: float | None) -> bool:
    """Return whether a score is a finite number."""
    return value is not None and math.isfinite(value)


def listed(names: Sequence[str]) -> str:
    """Return names as a part of a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
