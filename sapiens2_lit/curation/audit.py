"""Collect the pictures next to a threshold, on both sides, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sapiens2_lit.curation.cuts import passes
from sapiens2_lit.curation.duplicates import Match
from sapiens2_lit.curation.scores import Scores
from sapiens2_lit.curation.settings import Cut

SHOWN = 48  # pictures on each side


@dataclass(frozen=True)
class Sample:
    """One picture, or a pair, of a sheet.

    Attributes:
        paths: Relative to the pool: one path, or the better and the other one.
        caption: Its value, or the distance between the two.
    """

    paths: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Sheet:
    """The pictures on both sides of one threshold, nearest first.

    Attributes:
        title: The threshold.
        kept: Samples that pass it.
        dropped: Samples that do not.
    """

    title: str
    kept: list[Sample] = field(default_factory=list)
    dropped: list[Sample] = field(default_factory=list)


def cut_sheet(cut: Cut, scores: Scores, seed: int) -> Sheet:
    """Return the pictures nearest to a bound on both sides; for `equals` random ones.

    Pictures without a value are dropped last.

    Args:
        cut: The bound.
        scores: Of all pictures that the cut sees.
        seed: Of the random choice.
    """
    chance = np.random.default_rng(seed).permutation(len(scores))
    values = scores.texts(cut.column)
    if cut.bound == "equals":
        away = np.zeros(len(scores))
    else:
        away = np.abs(scores.numbers(cut.column) - float(cut.value))
        away = np.where(np.isnan(away), np.inf, away)
    paths, passed = scores.paths, passes(cut, scores)
    sides = []
    for side in (passed, ~passed):
        rows = np.flatnonzero(side)
        rows = rows[np.lexsort((chance[rows], away[rows]))][:SHOWN]
        sides.append([Sample((paths[row],), said(values[row])) for row in rows])
    return Sheet(f"{cut.column}: {cut.bound} {cut.value}", *sides)


def pair_sheet(
    title: str, scores: Scores, matches: Sequence[Match], threshold: float, closer_is_less: bool
) -> Sheet:
    """Return the pairs nearest to a threshold: pairs that are kept apart, and pairs of which one picture is dropped.

    Args:
        title: Of the sheet.
        scores: Of the pictures.
        matches: All pairs.
        threshold: Distance within which one picture is dropped.
        closer_is_less: Whether pairs with a smaller distance are more alike.
    """
    paths = scores.paths
    sheet = Sheet(title)
    order = sorted(
        matches, key=lambda one: (abs(one.distance - threshold), paths[one.kept], paths[one.other])
    )
    for one in order:
        within = one.distance <= threshold if closer_is_less else one.distance >= threshold
        side = sheet.dropped if within else sheet.kept
        if len(side) < SHOWN:
            side.append(Sample((paths[one.kept], paths[one.other]), said(one.distance)))
    return sheet


def said(value: object) -> str:
    """Return a value as text."""
    if value is None:
        return "no value"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
