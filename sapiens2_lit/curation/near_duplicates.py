"""Find pictures whose embeddings point in the same direction, within clusters (SemDeDup, arXiv 2303.09540)."""

from heapq import nlargest

import numpy as np

from sapiens2_lit.curation.duplicates import Mask, Match, Rows, better_first, keep_best
from sapiens2_lit.curation.kmeans import Points, kmeans

_IN_CLUSTER = 2000  # pictures in a cluster, about; within it all are compared with all
_BLOCK = 1024


def near_duplicates(
    points: Points, rank: Rows, cosine: float, margin: float, shown: int, seed: int
) -> tuple[Mask, list[Match]]:
    """Return which rows stay, (N,), and the pairs nearest to the threshold on both sides, for people to look at.

    Args:
        points: (N, D), of length 1.
        rank: (N,); the lower one of a pair stays.
        cosine: Pairs with this cosine or more are near-duplicates.
        margin: Distance below the threshold within which pairs are shown.
        shown: Pairs on each side.
        seed: Of the clusters.
    """
    _, labels = kmeans(points, -(-len(points) // _IN_CLUSTER), seed)
    stays = np.ones(len(points), dtype=bool)
    inside: list[Match] = []
    outside: list[Match] = []
    for cluster in range(int(labels.max(initial=-1)) + 1):
        rows = np.flatnonzero(labels == cluster)
        first, second, near = _pairs(points[rows], cosine - margin)
        within = near >= cosine
        stays[rows] = keep_best(len(rows), (first[within], second[within], first[within]), rank[rows])
        swap = rank[rows[first]] > rank[rows[second]]
        better, worse = stays[rows[np.where(swap, second, first)]], stays[rows[np.where(swap, first, second)]]
        dropped, apart = within & better & ~worse, ~within & better & worse  # as in `is_telling`
        for chosen, side, sign in ((dropped, inside, -1), (apart, outside, 1)):
            best = np.argsort(-sign * near[chosen], kind="stable")[:shown]
            for a, b, value in zip(
                first[chosen][best], second[chosen][best], near[chosen][best], strict=True
            ):
                side.append(Match(*better_first(int(rows[a]), int(rows[b]), rank), float(value)))
            side[:] = nlargest(shown, side, key=lambda match, sign=sign: sign * match.distance)  # type: ignore[misc]
    return stays, inside + outside


def _pairs(points: Points, least: float) -> tuple[Rows, Rows, Points]:
    """Return rows first < second whose cosine is `least` or more, and their cosines."""
    found = []
    for start in range(0, len(points), _BLOCK):
        cosines = points[start : start + _BLOCK] @ points.T
        first, second = np.nonzero(cosines >= least)
        once = first + start < second
        first, second = first[once], second[once]
        found.append((first + start, second, cosines[first, second]))
    one, other, near = (np.concatenate(part) for part in zip(*found, strict=True))
    return one, other, near
