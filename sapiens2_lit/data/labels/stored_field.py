"""A label of numbers in the pixels of its image: as the file stores it, decoded where it is looked at.

Legend: h, w pixels of the image, H, W of the network's input, C channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.transforms.fields import (
    divide_by_share,
    lies_inside,
    sample_planes,
    warp_planes,
    with_weights,
    zero_invalid,
)
from sapiens2_lit.transforms.geometric import Affine, compose, shown_region, shrinks, translation

_STRIP = 1 << 16  # pixels decoded at a time: three floats each stay in a core's cache
_WORTH_CUTTING = 0.8  # a part of an image that is larger is not cut out
_MOST = 65535


@dataclass(frozen=True)
class Encoding:
    """How integers stand for numbers: as shares 0..1 of `most`, or as -1..1.

    Attributes:
        most: the integer that stands for 1.
        signed: whether 0 stands for -1.
        signs: factors on the three channels afterwards, such as a frame's.
    """

    most: int
    signed: bool = False
    signs: tuple[int, ...] = ()

    def decode(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The numbers of integers (..., C)."""
        numbers = np.divide(stored, np.float32(self.most), dtype=np.float32)
        if self.signed:
            numbers *= 2
            numbers -= 1
        for channel, sign in enumerate(self.signs):
            if sign < 0:
                np.negative(numbers[..., channel], out=numbers[..., channel])
        return numbers

    def decode_weighted(
        self, sums: npt.NDArray[np.float32], share: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The mean numbers times `share` (H, W), from mean integers (C, H, W), 0 but in that share of each pixel."""
        numbers = np.divide(sums, np.float32(self.most), out=sums)
        if self.signed:
            numbers *= 2
            numbers -= share
        for plane, sign in zip(numbers, self.signs, strict=False):
            plane *= sign
        return numbers


class Field:
    """A label in the pixels of its image.

    Args:
        stored: (h, w, C) float32, or integers that `encoding` explains; anything where not valid.
        valid: (h, w) bool: where it counts.
        invalid: pixels that would count, were they not NaN, infinite or otherwise no value (`FieldFolder.no_value`).
        encoding: of integers.
    """

    def __init__(
        self,
        stored: npt.NDArray[Any],
        valid: npt.NDArray[np.bool_],
        invalid: int = 0,
        encoding: Encoding | None = None,
    ) -> None:
        self.stored = stored
        self.valid = valid
        self.invalid = invalid
        self.encoding = encoding

    @cached_property
    def values(self) -> npt.NDArray[np.float32]:
        """(h, w, C) float32; anything where not valid."""
        return self.decode(slice(None))

    @cached_property
    def num_valid(self) -> int:
        return int(np.count_nonzero(self.valid))

    def decode(self, rows: slice, columns: slice = slice(None)) -> npt.NDArray[np.float32]:
        """The numbers of a part of the image."""
        part = self.stored[rows, columns]
        return part if self.encoding is None else self.encoding.decode(part)

    def strips(self) -> Iterator[slice]:
        """Rows to go through one after the other, so few at a time that their numbers stay in the cache."""
        height, width = self.valid.shape
        rows = max(1, _STRIP // max(1, width))
        return (slice(top, min(top + rows, height)) for top in range(0, height, rows))

    def warp(self, affine: Affine, size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """(C, H, W), NaN where less than half of what a pixel is made of is valid.

        Integers that shrink by more than 2 are averaged before they are decoded, which rounds them once more.
        """
        if self.encoding is not None and shrinks(affine):
            return self._warp_integers(affine, size)
        source = (self.valid.shape[0], self.valid.shape[1])
        rows, columns = shown_region(affine, size, source)
        shown = (rows.stop - rows.start) * (columns.stop - columns.start)
        if not 0 < shown < _WORTH_CUTTING * self.valid.size or shrinks(affine):
            rows, columns = slice(0, source[0]), slice(0, source[1])
        valid = self.valid[rows, columns]
        whole = self.num_valid == self.valid.size or bool(valid.all())
        return warp_planes(
            np.ascontiguousarray(self.decode(rows, columns)),
            None if whole else valid,
            compose(affine, translation(columns.start, rows.start)),
            size,
        )

    def _warp_integers(self, affine: Affine, size: tuple[int, int]) -> npt.NDArray[np.float32]:
        assert self.encoding is not None
        source, channels = (self.valid.shape[0], self.valid.shape[1]), self.stored.shape[2]
        if self.num_valid == self.valid.size:
            planes = sample_planes(np.ascontiguousarray(self.stored), affine, size)
            share = np.ones(size, np.float32)
            if not lies_inside(affine, source, size):
                share = sample_planes(np.ones((*source, 1), np.uint8), affine, size)[0]
        else:
            stored = zero_invalid(self.stored, self.valid).astype(np.uint16, copy=False)
            shares = np.multiply(self.valid, np.uint16(_MOST), dtype=np.uint16)
            planes = sample_planes(with_weights(stored, shares), affine, size)
            share = planes[-1] / np.float32(_MOST)
            planes = planes[:channels]
        return divide_by_share(self.encoding.decode_weighted(planes, share), share)
