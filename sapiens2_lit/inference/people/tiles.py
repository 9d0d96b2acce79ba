"""Cut a large picture into overlapping tiles, so that tiny people are large enough to be found."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError

Tiles = int | Literal["auto"]

MOST_TILES = 32  # along the longer side
OVERLAP = 0.25  # share of a tile's side, shared with each neighbor
_INPUTS = 2  # `auto` cuts pictures that are more than this many times as large as the detector's input
_BORDER = 2.0  # pixels; a box that ends this close to its tile's cut shows a person only in part


@dataclass(frozen=True)
class Tile:
    """A part of a picture: columns from `left` to `right`, rows from `top` to `bottom`, ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the tile's pixels of an image (H, W, 3)."""
        return np.ascontiguousarray(image[self.top : self.bottom, self.left : self.right])

    def holds(self, corners: npt.NDArray[np.floating], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Return which boxes the tile does not cut, (N,).

        Args:
            corners: (N, 4) left, top, right, bottom in the picture's pixels.
            size: (height, width) of the picture; its own borders cut nobody.
        """
        height, width = size
        return (
            ((corners[:, 0] > self.left + _BORDER) | (self.left == 0))
            & ((corners[:, 1] > self.top + _BORDER) | (self.top == 0))
            & ((corners[:, 2] < self.right - _BORDER) | (self.right == width))
            & ((corners[:, 3] < self.bottom - _BORDER) | (self.bottom == height))
        )


def tiles_of(size: tuple[int, int], count: int) -> list[Tile]:
    """Return the tiles of a picture row by row, about square; empty if `count` is 1.

    Neighbors overlap by a quarter of their sides, so that a smaller person lies completely in one of them.

    Args:
        size: (height, width) of the picture.
        count: Number of tiles along its longer side.
    """
    if count < 2:
        return []
    side = max(size) / (count - (count - 1) * OVERLAP)
    rows, columns = (list(_spans(length, side)) for length in size)
    return [Tile(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def number_of_tiles(tiles: Tiles, size: tuple[int, int], input_side: int | None) -> int:
    """Return the number of tiles along the longer side of a picture.

    Args:
        tiles: A number, or `auto`: so many that no tile is more than twice as large as the detector's input.
        size: (height, width) of the picture.
        input_side: Longer side of the detector's input in pixels; if None, `auto` means 1.
    """
    if tiles != "auto":
        return tiles
    return 1 if input_side is None else min(MOST_TILES, math.ceil(max(size) / (_INPUTS * input_side)))


def check_tiles(tiles: Any) -> Tiles:
    """Return the number of tiles, or `auto`.

    Raises:
        SettingError: It is something else.
    """
    if tiles == "auto":
        return "auto"
    try:
        count = int(tiles)
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= MOST_TILES:
        raise SettingError(
            f"tiles: found {tiles!r}, expected auto, or 1 to {MOST_TILES} along the longer side"
        )
    return count


def _spans(length: int, side: float) -> Iterator[tuple[int, int]]:
    """Yield overlapping spans of about the size `side` that cover a length from end to end."""
    count = max(1, math.ceil((length - side * OVERLAP) / (side * (1 - OVERLAP)) - 1e-6))
    width = min(length, math.ceil(side))
    for place in range(count):
        start = 0 if count == 1 else round(place * (length - width) / (count - 1))
        yield start, start + width
