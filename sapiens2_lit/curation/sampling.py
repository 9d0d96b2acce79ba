"""Draw a sample in which clusters have equal weight, from the coarsest level down."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def fair_shares(sizes: Sequence[int], total: int) -> list[int]:
    """Return how many rows each cluster gives: at most the same number for all, so that the sum is `total`.

    If the clusters have fewer rows together, all are taken. Any remainder goes to the first clusters that have more.
    """
    low, high = 0, max(sizes, default=0)
    while low < high:  # the largest cap whose sum is no more than wanted
        cap = (low + high + 1) // 2
        low, high = (cap, high) if sum(min(cap, size) for size in sizes) <= total else (low, cap - 1)
    shares = [min(low, size) for size in sizes]
    rest = min(total, sum(sizes)) - sum(shares)
    for place, size in enumerate(sizes):
        if rest and size > shares[place]:
            shares[place] += 1
            rest -= 1
    return shares


def balanced_sample(levels: Sequence[Rows], count: int, wanted: int, seed: int) -> Rows:
    """Return the rows of a sample, sorted, (M,).

    Args:
        levels: The cluster of each row, (N,), finest level first; empty for a plain random sample.
        count: Number of rows N.
        wanted: Size M of the sample.
        seed: Of the choice within a cluster.
    """
    chance = np.random.default_rng(seed).permutation(count)
    return np.sort(_draw(np.arange(count), list(levels), wanted, chance))


def _draw(rows: Rows, levels: list[Rows], wanted: int, chance: Rows) -> Rows:
    """Draw `wanted` of the rows: balanced over the last level, then within its clusters over the earlier levels."""
    if not levels:
        return rows[np.argsort(chance[rows], kind="stable")[:wanted]]
    coarse = levels[-1][rows]
    members = [rows[coarse == cluster] for cluster in np.unique(coarse)]
    shares = fair_shares([len(own) for own in members], wanted)
    parts = [
        _draw(own, levels[:-1], share, chance) for own, share in zip(members, shares, strict=True) if share
    ]
    return np.concatenate(parts) if parts else rows[:0]
