"""Find pieces of a mask that may be people, and ways to cut a piece into several people."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

LEAST_SHARE = 5e-4  # share of a picture's pixels; smaller pieces are specks
_GAP = (
    0.006  # share of a picture's longer side; closer pieces are joined, such as head and body without a neck
)
_LEVELS = (0.8, 0.65, 0.5)  # shares of the greatest thickness; a trunk may be where a piece is this thick
_COLUMN = (
    0.5  # share of the narrower seed's columns; seeds that share more are one person, such as head and trunk
)
_HEAD_GAP = (
    0.2  # share of the largest head's size; closer parts are one head, such as hair and face behind a hand
)
_LEAST_HEAD = 0.15  # share of the largest head's pixels
_LEAST_PART = 0.04  # share of the cut piece's pixels
_UPRIGHT = 0.35  # weight of rows relative to columns in the distance to a seed, since people stand
_MOST = 16  # people in one piece


@dataclass(frozen=True)
class Region:
    """Pixels of a picture within the box around them.

    Attributes:
        left: The box's first column.
        top: Its first row.
        mask: (h, w) bool: the pixels of the box that belong to the region.
    """

    left: int
    top: int
    mask: Mask

    @property
    def box(self) -> npt.NDArray[np.float32]:
        """The box (5,): x, y, width, height in pixels, and the score 1."""
        height, width = self.mask.shape
        return np.array([self.left, self.top, width, height, 1], dtype=np.float32)

    @property
    def place(self) -> tuple[slice, slice]:
        """Slices of the picture's rows and columns."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def shifted(self, x: int, y: int) -> "Region":
        """Return the region moved by x and y pixels."""
        return Region(self.left + x, self.top + y, self.mask)


def find_regions(people: Mask, least_share: float = LEAST_SHARE) -> list[Region]:
    """Return the connected pieces of a mask, largest first; small gaps are bridged, specks left out.

    Args:
        people: (H, W) pixels of people.
        least_share: Least share of all pixels that a piece must have.
    """
    reach = round(_GAP * max(people.shape))
    joined = people.astype(np.uint8)
    if reach:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        # with a margin, so that the border of the picture does not close anything
        padded = np.pad(joined, reach)
        closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
        joined = np.ascontiguousarray(closed[reach:-reach, reach:-reach])
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = []
    for index, (x, y, width, height, _) in enumerate(boxes.tolist()):
        if index == 0:  # the background
            continue
        place = slice(y, y + height), slice(x, x + width)
        piece = _tight((labels[place] == index) & people[place], x, y)
        if piece is not None and piece.mask.sum() >= least_share * people.size:
            found.append(piece)
    return sorted(found, key=lambda piece: -int(piece.mask.sum()))


def cuts_by_heads(region: Region, heads: Mask) -> list[Region]:
    """Return one part of the region for each head in it; empty if there is one head or none.

    Args:
        region: A piece of a mask.
        heads: (H, W) pixels of heads in the picture.
    """
    here = heads[region.place] & region.mask
    _, _, stats, _ = cv2.connectedComponentsWithStats(here.astype(np.uint8), connectivity=8)
    if len(stats) < 2:
        return []
    reach = round(_HEAD_GAP * float(stats[1:, cv2.CC_STAT_AREA].max()) ** 0.5)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    joined = cv2.morphologyEx(np.pad(here.astype(np.uint8), reach), cv2.MORPH_CLOSE, kernel)
    _, _, stats, centres = cv2.connectedComponentsWithStats(joined, connectivity=8)
    centres -= reach
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = np.flatnonzero(areas >= _LEAST_HEAD * areas.max())
    return _cut(region, [centres[1 + place] for place in large])


def cuts_by_thickness(region: Region) -> list[list[Region]]:
    """Return ways to cut a region around its thickest places.

    Each way has another number of parts, and there may be none.

    Trunks are thicker than the contact between two people. Seeds above each other belong to one person.
    """
    thickness = cv2.distanceTransform(np.pad(region.mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    found: dict[int, list[Region]] = {}
    for level in _LEVELS:
        thick = (thickness >= level * thickness.max()).astype(np.uint8)
        _, _, stats, centres = cv2.connectedComponentsWithStats(thick, connectivity=8)
        parts = _cut(region, _one_a_column(stats[1:], centres[1:]))
        if parts:
            found.setdefault(len(parts), parts)
    return list(found.values())


def _one_a_column(
    stats: npt.NDArray[np.int32], centres: npt.NDArray[np.float64]
) -> list[npt.NDArray[np.float64]]:
    """Return the centers of seeds, of those above each other only the largest."""
    kept: list[int] = []
    for place in np.argsort(-stats[:, cv2.CC_STAT_AREA], kind="stable"):
        left, width = stats[place, cv2.CC_STAT_LEFT], stats[place, cv2.CC_STAT_WIDTH]
        others = [(stats[other, cv2.CC_STAT_LEFT], stats[other, cv2.CC_STAT_WIDTH]) for other in kept]
        shared = [min(left + width, x + w) - max(left, x) for x, w in others]
        if all(part < _COLUMN * min(width, w) for part, (_, w) in zip(shared, others, strict=True)):
            kept.append(int(place))
    return [centres[place] for place in kept]


def _cut(region: Region, seeds: Sequence[npt.NDArray[np.float64]]) -> list[Region]:
    """Assign the region's pixels to the nearest seed (x, y in its box); empty unless there are several parts."""
    if not 2 <= len(seeds) <= _MOST:
        return []
    rows, columns = np.nonzero(region.mask)
    distances = np.stack([np.hypot(columns - x, _UPRIGHT * (rows - y)) for x, y in seeds])
    nearest = distances.argmin(axis=0)
    parts = []
    for place in range(len(seeds)):
        mine = nearest == place
        if mine.sum() < _LEAST_PART * len(rows):
            continue
        part = np.zeros_like(region.mask)
        part[rows[mine], columns[mine]] = True
        tight = _tight(part, region.left, region.top)
        if tight is not None:
            parts.append(tight)
    return parts if len(parts) > 1 else []


def _tight(mask: Mask, left: int, top: int) -> Region | None:
    """Return the region in the smallest box around a mask whose first pixel is at (left, top); None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Region(left + int(columns[0]), top + int(rows[0]), np.ascontiguousarray(inner))
