"""Find pairs of similar hashes without comparing all with all.

Two hashes of 64 bits that differ in at most 7 bits agree, except for at most one bit, in one of four bands of 16 bits.
So only hashes with a band that is equal, or differs in one bit, are compared.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sapiens2_lit.curation.hashes import Bits

BANDS = 4
SURE = 7  # bits of 64; all pairs that differ in at most as many are found
_MASKS = (0, *(1 << bit for bit in range(16)))
_PAIRS = 1 << 20  # compared at a time

Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def close_pairs(short: Bits, long: Bits, most: int) -> Pairs:
    """Return rows first < second whose long hashes differ in at most `most` bits, and the number of bits, sorted.

    Args:
        short: (N, 8) bytes, by which candidates are found: all pairs that differ in 7 bits or fewer, and some others.
        long: (N, L) bytes that are compared.
        most: Bits of the long hash.

    Returns:
        Three arrays of shape (P,): first row, second row, and differing bits.
    """
    bands = np.ascontiguousarray(short).view(">u2").astype(np.uint16)
    found: list[npt.NDArray[np.int64]] = []
    for band in bands.T:
        for first, second in _candidates(band):
            for start in range(0, len(first), _PAIRS):
                one, other = first[start : start + _PAIRS], second[start : start + _PAIRS]
                apart = np.bitwise_count(long[one] ^ long[other]).sum(axis=1, dtype=np.int64)
                near = apart <= most
                found.append(np.stack([one[near], other[near], apart[near]]))
    if not found:
        return (np.zeros(0, np.int64),) * 3
    pairs = np.unique(np.concatenate(found, axis=1), axis=1)
    return pairs[0], pairs[1], pairs[2]


def _candidates(
    band: npt.NDArray[np.uint16],
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield pairs of rows, the smaller one first, whose bands differ in at most one bit."""
    order = np.argsort(band, kind="stable")
    values = band[order]
    for mask in _MASKS:
        wanted = band ^ np.uint16(mask)
        begin, end = np.searchsorted(values, wanted, "left"), np.searchsorted(values, wanted, "right")
        limits = np.concatenate([[0], np.cumsum(end - begin)])
        row = 0
        while row < len(band):  # rows with about `_PAIRS` pairs at a time
            last = max(row + 1, int(np.searchsorted(limits, limits[row] + _PAIRS, "right")) - 1)
            counts = (end - begin)[row:last]
            first = np.repeat(np.arange(row, last), counts)
            inner = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
            second = order[np.repeat(begin[row:last], counts) + inner]
            once = first < second
            yield first[once], second[once]
            row = last
