"""A label of numbers in the pixels of its image, kept as stored in the file and decoded where it is used.

Legend: h, w pixels of the image, H, W of the network's input, C channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.transforms.fields import (
    LEAST_SHARE,
    box_of,
    sample_planes,
    with_weights,
    zero_invalid,
)
from sapiens2_lit.transforms.geometric import (
    Affine,
    block_of,
    compose,
    reached_region,
    shown_region,
    translation,
)

_STRIP = 1 << 16  # pixels decoded at a time: three floats each stay in a core's cache
_MOST = 65535
_FINER = (np.arange(256) * 257).astype(
    np.uint16
)  # 8-bit values as 16-bit ones, whose means lose less by rounding
_WORTH_CUTTING = 0.8  # a part of the image larger than this is not cut out


@dataclass(frozen=True)
class Encoding:
    """How integers encode numbers: as shares 0..1 of `most`, or as -1..1.

    Attributes:
        most: the integer for 1.
        signed: whether 0 means -1.
        signs: factors on the three channels afterwards, such as those of a frame.
    """

    most: int
    signed: bool = False
    signs: tuple[int, ...] = ()

    def decode(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the numbers of 3-D integers (h, w, C)."""
        if stored.dtype == np.uint8 and not self.signs:
            return np.asarray(cv2.LUT(stored, self._table), np.float32).reshape(stored.shape)
        return self._decode(stored)

    @cached_property
    def _table(self) -> npt.NDArray[np.float32]:
        return self._decode(np.arange(256, dtype=np.uint8))

    def _decode(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        numbers = np.divide(stored, np.float32(self.most), dtype=np.float32)
        if self.signed:
            numbers *= 2
            numbers -= 1
        for channel, sign in enumerate(self.signs):
            if sign < 0:
                numbers[..., channel] *= -1  # numpy 2.4's `negative` in place is wrong on every fourth number
        return numbers

    def decode_weighted(self, sums: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return mean numbers times shares, and these shares, in place.

        The input is mean 16-bit integers and weights (C + 1, H, W).
        """
        numbers = np.divide(sums, np.float32(_MOST), out=sums)
        if self.signed:
            numbers[:-1] *= 2
            numbers[:-1] -= numbers[-1]
        for plane, sign in zip(numbers, self.signs, strict=False):
            plane *= sign
        return numbers


class Field:
    """A label in the pixels of its image.

    Args:
        stored: (h, w, C) float32, or integers in `encoding`; any number where not valid.
        valid: (h, w) bool.
        invalid: number of pixels that are invalid only because they are NaN, infinite or otherwise no value
            (`FieldFolder.no_value`).
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
        """The numbers, 3-D (h, w, C) float32; any number where not valid."""
        return self.decode(slice(None))

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the smallest rectangle with all valid pixels."""
        return box_of(self.valid)

    @cached_property
    def num_valid(self) -> int:
        """Number of valid pixels."""
        return int(np.count_nonzero(self.valid))

    def decode(self, rows: slice, columns: slice = slice(None)) -> npt.NDArray[np.float32]:
        """Return the numbers of a part of the image, 3-D (rows, columns, C)."""
        part = self.stored[rows, columns]
        return part if self.encoding is None else self.encoding.decode(part)

    def strips(self) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of parts that contain all valid pixels, small enough for the processor's cache."""
        rows, columns = self.box
        step = max(1, _STRIP // max(1, columns.stop - columns.start))
        return (
            (slice(top, min(top + step, rows.stop)), columns) for top in range(rows.start, rows.stop, step)
        )

    def warp(self, affine: Affine, size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Return (C, H, W), NaN where less than half of a pixel's weights are valid; see `sample`."""
        return self.sample(affine, size).means(np.nan)

    def sample(self, affine: Affine, size: tuple[int, int]) -> "Sampled":
        """Return the label as an output of `size` shows it.

        Integers that shrink by more than 2 are averaged before they are decoded, which adds one rounding.
        """
        block = block_of(affine)
        channels, late = self.stored.shape[2], self.encoding is not None and block != (1, 1)
        rows, columns = self._needed(affine, size, block)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            nothing = np.zeros((channels + 1, 1, 1), np.float32)  # one pixel: OpenCV takes no empty arrays
            return Sampled(nothing[:-1], nothing[-1], size, (slice(0, 1), slice(0, 1)))
        source = (rows.stop - rows.start, columns.stop - columns.start)
        from_part = compose(affine, translation(columns.start, rows.start))
        down, across = slice(0, size[0]), slice(0, size[1])
        if source != self.valid.shape:
            down, across = reached_region(from_part, source, size)
        shown = (down.stop - down.start, across.stop - across.start)
        to_part = compose(translation(-across.start, -down.start), from_part)
        stored, valid = self.stored[rows, columns], self.valid[rows, columns]
        if channels == 1 and stored.dtype == np.float32:
            counted = stored[..., 0] if valid.all() else zero_invalid(stored, valid)[..., 0]
            sums = sample_planes(counted, to_part, shown)  # not joined with their weights first
            share = sample_planes(valid.astype(np.float32), to_part, shown)[0]
            return Sampled(sums, share, size, (down, across))
        wide = with_weights(stored)
        if self.encoding is not None and not late:
            wide = self.encoding.decode(wide)
        if not valid.all():
            wide = zero_invalid(wide, valid)
        if late and wide.dtype == np.uint8:
            wide = np.asarray(cv2.LUT(wide, _FINER))
        sums = sample_planes(wide, to_part, shown)
        if self.encoding is not None and late:
            sums = self.encoding.decode_weighted(sums)
        return Sampled(sums[:-1], sums[-1], size, (down, across))

    def _needed(self, affine: Affine, size: tuple[int, int], block: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of the image that are shown and contain valid pixels, or all if that is most.

        Blocks that are averaged are the same in every part: they are counted from the image's first pixel.
        """
        source = (self.valid.shape[0], self.valid.shape[1])
        sides = zip(shown_region(affine, size, source), self.box, block, source, strict=True)
        rows, columns = (_whole_blocks(*side) for side in sides)
        number = max(0, rows.stop - rows.start) * max(0, columns.stop - columns.start)
        if number < _WORTH_CUTTING * self.valid.size:
            return rows, columns
        return slice(0, source[0]), slice(0, source[1])


def _whole_blocks(one: slice, other: slice, step: int, most: int) -> slice:
    """Return what two parts of a side have in common, widened to blocks of `step` pixels within its `most` pixels."""
    start, stop = max(one.start, other.start), min(one.stop, other.stop)
    return slice(start - start % step, min(stop + -stop % step, most))


class Sampled:
    """A label as an output shows it, not yet divided by its weights.

    Attributes:
        counts: (h, w) bool: where at least half of a pixel's weights are valid.

    Args:
        sums: (C, h, w) sums of valid numbers times weights; they may be changed in place.
        share: (h, w) sums of the weights.
        size: (height, width) of the output.
        place: rows and columns of the output that `sums` cover; all other pixels are invalid.
    """

    def __init__(
        self,
        sums: npt.NDArray[np.float32],
        share: npt.NDArray[np.float32],
        size: tuple[int, int],
        place: tuple[slice, slice],
    ) -> None:
        self.sums = sums
        self.share = share
        self.size = size
        self.place = place
        self.counts: npt.NDArray[np.bool_] = self.share >= LEAST_SHARE

    def means(self, outside: float) -> npt.NDArray[np.float32]:
        """Return means (C, H, W), and `outside` (0 or NaN) for invalid pixels."""
        return self.over(self.share, outside)

    def over(self, divisor: npt.NDArray[np.float32], outside: float) -> npt.NDArray[np.float32]:
        """Return sums over a `divisor` (h, w) as (C, H, W), and `outside` (0 or NaN) for invalid pixels."""
        counted = np.where(self.counts, divisor, np.float32(np.nan if np.isnan(outside) else np.inf))
        planes = self.whole(len(self.sums), np.float32, outside)
        for total, plane in zip(self.sums, planes, strict=True):
            np.divide(total, counted, out=plane[self.place])
        return planes

    def whole(self, channels: int, dtype: type, outside: float) -> npt.NDArray[Any]:
        """Return (C, H, W) with `outside` beyond `place`; pixels in `place` are still unset."""
        planes: npt.NDArray[Any] = np.empty((channels, *self.size), dtype)
        down, across = self.place
        for beyond in (slice(0, down.start), slice(down.stop, None)):
            planes[:, beyond] = outside
        for beyond in (slice(0, across.start), slice(across.stop, None)):
            planes[:, down, beyond] = outside
        return planes

    def valid(self) -> npt.NDArray[np.bool_]:
        """Return where pixels are valid, (1, H, W)."""
        if self.counts.shape == self.size:
            return self.counts[None]
        flags = self.whole(1, np.bool_, False)
        flags[0][self.place] = self.counts
        return flags
