"""A sample in which clusters weigh the same, from the coarsest level down."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def fair_shares(sizes: Sequence[int], total: int) -> list[int]:
    """How many each cluster gives: the same cap for all, so that `total` come together; all, where there are fewer.

    What remains below the cap goes to the first clusters that have more.
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
    """Rows of a sample, sorted.

    Args:
        levels: the cluster of each row, the finest level first; none for a plain random sample.
        count: of rows.
        wanted: size of the sample.
        seed: of the choice within a cluster.
    """
    chance = np.random.default_rng(seed).permutation(count)
    return np.sort(_draw(np.arange(count), list(levels), wanted, chance))


def _draw(rows: Rows, levels: list[Rows], wanted: int, chance: Rows) -> Rows:
    """`wanted` of the rows: by the last level, then within each of its clusters by the levels before."""
    if not levels:
        return rows[np.argsort(chance[rows], kind="stable")[:wanted]]
    coarse = levels[-1][rows]
    members = [rows[coarse == cluster] for cluster in np.unique(coarse)]
    shares = fair_shares([len(own) for own in members], wanted)
    parts = [
        _draw(own, levels[:-1], share, chance) for own, share in zip(members, shares, strict=True) if share
    ]
    return np.concatenate(parts) if parts else rows[:0]
