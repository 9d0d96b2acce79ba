"""Of pictures that show the same, the best one stays."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.curation.banding import Pairs, close_pairs
from sapiens2_lit.curation.hashes import Bits

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Match:
    """Two pictures, and how far apart they are.

    Attributes:
        kept: row of the better one.
        other: row of the other one, which is dropped where `distance` is within the threshold.
        distance: in bits, or a cosine.
    """

    kept: int
    other: int
    distance: float


def exact_duplicates(digests: npt.NDArray[np.str_], rank: Rows) -> Mask:
    """Which rows stay: of those with the same digest the one of the least rank."""
    order = np.lexsort((rank, digests))
    stays = np.zeros(len(digests), dtype=bool)
    first = np.ones(len(order), dtype=bool)
    first[1:] = digests[order][1:] != digests[order][:-1]
    stays[order[first]] = True
    return stays


def hash_duplicates(short: Bits, long: Bits, rank: Rows, most: int, margin: int) -> tuple[Mask, list[Match]]:
    """Which rows stay, and the pairs within `most` + `margin` bits, for people to look at.

    Rows with the same hashes are first taken together, so that thousands of equal pictures make no millions of pairs.
    A row goes only where a better row that stays is within `most` bits: chains of pictures that differ a little from
    each other do not make the first and the last one duplicates.
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
    """Whether a pair shows what a threshold does: within it one of both stays for the other, beyond it both stay."""
    return bool(stays[match.kept] and stays[match.other] != within)


def keep_best(count: int, pairs: Pairs, rank: Rows) -> Mask:
    """Which of `count` rows stay, where of each pair the one of the lesser rank drops the other, if it stays itself."""
    first, second = pairs[:2]
    swap = rank[first] > rank[second]
    better, worse = np.where(swap, second, first), np.where(swap, first, second)
    stays = np.ones(count, dtype=bool)
    for place in np.lexsort((rank[worse], rank[better])):
        if stays[better[place]]:
            stays[worse[place]] = False
    return stays


def better_first(one: int, other: int, rank: Rows) -> tuple[int, int]:
    return (one, other) if rank[one] < rank[other] else (other, one)
