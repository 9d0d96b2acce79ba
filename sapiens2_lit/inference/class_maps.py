"""Find the class of each pixel of an original image from the logits of a view.

If one class has the largest logit at all neighboring pixels, it also has it between them, since interpolation only
averages. So logits are interpolated only where classes meet, at a few percent of a picture's pixels.

Legend: C classes, h and w pixels of the logits, H and W of the part of the image that a view shows, N pixels.
"""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.views import View
from sapiens2_lit.transforms.geometric import Affine, compose, invert, reduce_first, resizing, translation

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

_MOST_EDGES = 0.25  # share of a picture's pixels; above it, resampling whole maps is faster


def restore_classes(logits: Logits, view: View) -> Labels:
    """Return the class with the largest interpolated logit at each pixel of `view.region`, uint8 (H, W).

    Edges between classes come out smooth, which they would not if the classes themselves were resampled. Classes that
    are nowhere the largest are left out, and only pixels that show the image take part.

    Args:
        logits: (C, h, w), at the input's size or any other size of its aspect, such as a decoder's.
        view: That the network saw.
    """
    affine, shown = _to_region(logits, view)
    size, first = view.region.size, shown[0]
    if reduce_first(first, affine, size)[0] is not first:  # the map shrinks, so it is averaged
        return by_whole_maps(shown, affine, size)
    best = largest(shown)
    rows, columns = _places(affine, 1, size[0], best.shape[0]), _places(affine, 0, size[1], best.shape[1])
    labels = rows.take(columns, best)
    edges = np.flatnonzero(rows.take(columns, _classes_meet(best)))
    if len(edges) > _MOST_EDGES * labels.size:
        return by_whole_maps(shown, affine, size)
    if len(edges):
        down, across = np.divmod(edges, size[1])
        labels.ravel()[edges] = _interpolated(shown, classes_in(best), rows.of(down), columns.of(across))
    return labels


def by_whole_maps(shown: Logits, affine: Affine, size: tuple[int, int]) -> Labels:
    """Do what `restore_classes` does by resampling the whole map of each class; maps that shrink are averaged first.

    Args:
        shown: Logits (C, h, w) of the pixels that show the image.
        affine: From their pixels to those of the result.
        size: (H, W) of the result.
    """
    height, width = size
    best = np.full(size, -np.inf, dtype=np.float32)
    labels = np.zeros(size, dtype=np.uint8)
    for index in classes_in(largest(shown)):
        reduced, left = reduce_first(np.ascontiguousarray(shown[index]), affine, size)
        values = cv2.warpAffine(
            reduced, left, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        np.copyto(labels, np.uint8(index), where=values > best)
        np.maximum(best, values, out=best)
    return labels


def largest(logits: Logits) -> Labels:
    """Return the class of the largest logit, uint8 (h, w), like `argmax` over C, but in the order of memory.

    Args:
        logits: (C, h, w).
    """
    best = logits[0].copy()
    labels = np.zeros(best.shape, dtype=np.uint8)
    for index in range(1, len(logits)):
        np.copyto(labels, np.uint8(index), where=logits[index] > best)
        np.maximum(best, logits[index], out=best)
    return labels


def classes_in(labels: Labels) -> Labels:
    """Return the classes that occur, sorted."""
    return np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).astype(np.uint8)


class _Axis:
    """The place of each output pixel along one axis, between two pixels of the logits."""

    def __init__(self, low: Places, high: Places, weight: npt.NDArray[np.float32]) -> None:
        self.low, self.high, self.weight = low, high, weight

    def take(self, columns: "_Axis", values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the value above and to the left of each output pixel: (H, W) from (h, w)."""
        return np.take(np.take(values, self.low, axis=0), columns.low, axis=1)

    def of(self, places: Places) -> "_Axis":
        return _Axis(self.low[places], self.high[places], self.weight[places])


def _places(affine: Affine, axis: int, length: int, source: int) -> _Axis:
    """Locate output pixels along one axis, which is independent of the other.

    Places beyond the border are clipped to it.
    """
    inverse = invert(affine)
    row = 1 if axis else 0
    place = np.clip(inverse[row, row] * np.arange(length) + inverse[row, 2], 0, source - 1)
    low = np.floor(place).astype(np.int64)
    return _Axis(low, np.minimum(low + 1, source - 1), (place - low).astype(np.float32))


def _classes_meet(labels: Labels) -> npt.NDArray[np.bool_]:
    """Return whether a pixel and its neighbors to the right, below and diagonally below differ in class, (h, w)."""
    meet = np.zeros(labels.shape, dtype=np.bool_)
    meet[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    meet[:-1] |= labels[:-1] != labels[1:]
    meet[:-1, :-1] |= labels[:-1, :-1] != labels[1:, 1:]
    return meet


def _interpolated(shown: Logits, classes: Labels, rows: _Axis, columns: _Axis) -> Labels:
    """Return the class of N pixels."""
    width = shown.shape[2]
    corners = [
        line * width + column for line in (rows.low, rows.high) for column in (columns.low, columns.high)
    ]
    down, across = rows.weight, columns.weight
    weights = ((1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across)
    best = np.full(len(down), -np.inf, dtype=np.float32)
    labels = np.zeros(len(down), dtype=np.uint8)
    for index in classes:
        plane = np.ascontiguousarray(shown[index]).ravel()
        values = plane[corners[0]] * weights[0]
        for corner, weight in zip(corners[1:], weights[1:], strict=True):
            values += plane[corner] * weight
        np.copyto(labels, index, where=values > best)
        np.maximum(best, values, out=best)
    return labels


def _to_region(logits: Logits, view: View) -> tuple[Affine, Logits]:
    """Return the affine from pixels of the logits that show the image to pixels of `view.region`, and those logits."""
    height, width = logits.shape[1:]
    scale = resizing(width / view.size[1], height / view.size[0])
    scaled = replace(view, size=(height, width), affine=compose(scale, view.affine))
    x, y = scaled.shown.corner
    left, top = view.region.corner
    affine = compose(translation(-left, -top), invert(scaled.affine), translation(x, y))
    return affine, logits[:, *scaled.shown]
