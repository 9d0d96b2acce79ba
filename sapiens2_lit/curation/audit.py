"""Which pictures lie next to a threshold, on either side, for people to look at."""

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
        paths: relative to the pool: one, or the better one and the other one.
        caption: its value, or what parts the two.
    """

    paths: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Sheet:
    """The pictures on both sides of one threshold, the nearest first.

    Attributes:
        title: the threshold.
        kept: that pass it.
        dropped: that do not.
    """

    title: str
    kept: list[Sample] = field(default_factory=list)
    dropped: list[Sample] = field(default_factory=list)


def cut_sheet(cut: Cut, scores: Scores, seed: int) -> Sheet:
    """Pictures by their distance to a bound; of `equals` some of each side by chance.

    Pictures without a value are the last of those that are dropped.
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
    """Pairs by their distance to a threshold, one sheet of pairs kept apart and of pairs of which one is dropped."""
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
    if value is None:
        return "no value"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
