"""Resample maps from input pixels to the original image's, once, by the inverse of a view's affine.

Legend: h and w pixels of the input, H and W of the original image or of the part of it that a view shows.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.views import View
from sapiens2_lit.transforms.geometric import Affine, compose, invert, reduce_first, translation

_CHANNELS = 4  # OpenCV resamples no more at a time


def restore_field(values: npt.NDArray[np.float32], view: View) -> npt.NDArray[np.float32]:
    """Return a field (h, w, C) of the input on `view.region` of the original image, (H, W, C), linearly interpolated.

    Only pixels that show the image take part: at its borders the outermost ones are repeated.
    """
    affine, size = to_region(view)
    shown = np.ascontiguousarray(values[view.shown], dtype=np.float32)
    parts = [
        _resample(shown[..., start : start + _CHANNELS], affine, size)
        for start in range(0, values.shape[2], _CHANNELS)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def restore_vectors(values: npt.NDArray[np.float32], view: View) -> npt.NDArray[np.float32]:
    """Do what `restore_field` does for unit vectors (h, w, 3), and normalize the result (H, W, 3)."""
    vectors = restore_field(values, view)
    length = np.sqrt(np.einsum("hwc,hwc->hw", vectors, vectors))
    vectors /= np.maximum(length, np.finfo(np.float32).tiny)[..., None]
    return vectors


def restore_labels(labels: npt.NDArray[Any], view: View) -> npt.NDArray[Any]:
    """Resample whole numbers to `view.region`: each pixel takes the nearest input pixel.

    Args:
        labels: (h, w) or (h, w, C).
        view: That the network saw.

    Returns:
        (H, W) or (H, W, C).
    """
    affine, (height, width) = to_region(view)
    inverse = invert(affine)  # axes do not mix: each output row has one input row
    shown = labels[view.shown]
    rows = np.rint(inverse[1, 1] * np.arange(height) + inverse[1, 2]).astype(int)
    columns = np.rint(inverse[0, 0] * np.arange(width) + inverse[0, 2]).astype(int)
    rows, columns = rows.clip(0, shown.shape[0] - 1), columns.clip(0, shown.shape[1] - 1)
    return shown[rows[:, None], columns[None, :]]


def to_region(view: View) -> tuple[Affine, tuple[int, int]]:
    """Return the affine from pixels of `view.shown` to pixels of `view.region`, and the region's size."""
    x, y = view.shown.corner
    left, top = view.region.corner
    return compose(translation(-left, -top), invert(view.affine), translation(x, y)), view.region.size


def _resample(
    values: npt.NDArray[np.float32], affine: Affine, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Resample (h, w, C), C at most 4, linearly with repeated borders; average first if it shrinks by more than 2."""
    height, width = size
    reduced, affine = reduce_first(values, affine, size)
    warped = cv2.warpAffine(
        reduced, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.float32).reshape(height, width, values.shape[2])
