"""Keep only the best of several pictures that show the same."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.curation.banding import Pairs, close_pairs
from sapiens2_lit.curation.hashes import Bits

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Match:
    """Two pictures, and their distance.

    Attributes:
        kept: Row of the better one.
        other: Row of the other one, which is dropped if `distance` is within the threshold.
        distance: In bits, or a cosine.
    """

    kept: int
    other: int
    distance: float


def exact_duplicates(digests: npt.NDArray[np.str_], rank: Rows) -> Mask:
    """Return which rows stay, (N,): for each digest the row of the lowest rank.

    Args:
        digests: (N,) of the files.
        rank: (N,), 0 for the best.
    """
    order = np.lexsort((rank, digests))
    stays = np.zeros(len(digests), dtype=bool)
    first = np.ones(len(order), dtype=bool)
    first[1:] = digests[order][1:] != digests[order][:-1]
    stays[order[first]] = True
    return stays


def hash_duplicates(short: Bits, long: Bits, rank: Rows, most: int, margin: int) -> tuple[Mask, list[Match]]:
    """Return which rows stay, (N,), and the pairs within `most` + `margin` bits, for people to look at.

    Rows with equal hashes are merged first, so that thousands of equal pictures do not make millions of pairs. A row
    is dropped only if a better row that stays is within `most` bits: in a chain of pictures that each differ a little
    from the next, the first and the last one are not duplicates.

    Args:
        short: (N, 8) bytes of the short hashes.
        long: (N, L) bytes of the long hashes.
        rank: (N,), 0 for the best.
        most: Bits of the long hash in which duplicates differ at most.
        margin: Bits beyond `most` up to which pairs are returned.
    """
    both = np.ascontiguousarray(np.concatenate([short, long], axis=1))
    keys = both.view(f"V{both.shape[1]}").ravel()
    _, group = np.unique(keys, return_inverse=True)
    order = np.lexsort((rank, group))
    starts = np.flatnonzero(np.concatenate([[True], group[order][1:] != group[order][:-1]]))
    heads = np.sort(order[starts])
    head_of = np.empty(len(starts), dtype=np.int64)
    head_of[group[order[starts]]] = order[starts]
    pairs = close_pairs(short[heads], long[heads], most + margin)
    pairs = heads[pairs[0]], heads[pairs[1]], pairs[2]
    within = pairs[2] <= most
    stays = keep_best(len(rank), (pairs[0][within], pairs[1][within], pairs[2][within]), rank)
    matches = [Match(*better_first(int(a), int(b), rank), float(d)) for a, b, d in zip(*pairs, strict=True)]
    same = np.flatnonzero(head_of[group] != np.arange(len(rank)))
    matches += [Match(int(head_of[group[row]]), int(row), 0.0) for row in same]
    stays[same] = False
    return stays, [one for one in matches if is_telling(one, one.distance <= most, stays)]


def is_telling(match: Match, within: bool, stays: Mask) -> bool:
    """Return whether a pair illustrates a threshold: within it one of the two is dropped, beyond it both stay.

    Args:
        match: The pair.
        within: Whether its distance is within the threshold.
        stays: (N,) which rows stay.
    """
    return bool(stays[match.kept] and stays[match.other] != within)


def keep_best(count: int, pairs: Pairs, rank: Rows) -> Mask:
    """Return which rows stay, (N,), if the better row of each pair drops the other one, provided it stays itself.

    Args:
        count: N.
        pairs: First and second rows and distances, (P,) each.
        rank: (N,), 0 for the best.
    """
    first, second = pairs[:2]
    swap = rank[first] > rank[second]
    better, worse = np.where(swap, second, first), np.where(swap, first, second)
    stays = np.ones(count, dtype=bool)
    for place in np.lexsort((rank[worse], rank[better])):
        if stays[better[place]]:
            stays[worse[place]] = False
    return stays


def better_first(one: int, other: int, rank: Rows) -> tuple[int, int]:
    """Return two rows, the better one first.

    Args:
        one: A row.
        other: Another one.
        rank: (N,), 0 for the best.
    """
    return (one, other) if rank[one] < rank[other] else (other, one)
