"""How a map of numbers that is valid only in places (depth, normals, albedo) follows an affine.

Legend: h, w pixels of the source, H, W of the output, C channels.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.transforms.geometric import Affine, apply_affine, invert, reduce_first, shrinks

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

# A pixel counts where at least half of what it is made of does, so that the edge of what counts stays in place.
_LEAST_SHARE = 0.5


def warp_field(values: Floats, valid: Flags, affine: Affine, size: tuple[int, int]) -> Floats:
    """Resample a field once, by linear interpolation among the pixels that count.

    Args:
        values: (h, w, C), C at most 3; anything where not `valid`.
        valid: (h, w).
        affine: source pixel -> output pixel.
        size: (height, width) of the output.

    Returns:
        (H, W, C), NaN where less than half of the interpolated area counts.
    """
    whole = np.count_nonzero(valid) == valid.size
    return warp_planes(values, None if whole else valid, affine, size).transpose(1, 2, 0)


def warp_planes(values: Floats, valid: Flags | None, affine: Affine, size: tuple[int, int]) -> Floats:
    """Do as `warp_field`, channels first.

    Channels first, numpy divides and selects whole planes at once; over three channels last it is ten times slower.

    Args:
        values: (h, w, C), C at most 4; anything where not `valid`.
        valid: (h, w), or None where all pixels are, which saves the weights.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.

    Returns:
        (C, H, W), NaN where less than half of the interpolated area is valid.
    """
    if valid is None:
        planes = sample_planes(values, affine, size)
        source = (values.shape[0], values.shape[1])
        if lies_inside(affine, source, size):
            return planes
        return divide_by_share(planes, sample_planes(np.ones((*source, 1), np.float32), affine, size)[0])
    weighted = with_weights(zero_invalid(values, valid), valid.astype(np.float32))
    planes = sample_planes(weighted, affine, size)
    return divide_by_share(planes[: values.shape[2]], planes[-1])


def with_weights(values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values (h, w, C) with weights (h, w) of the same type as one more channel; four channels are warped fastest.

    One channel becomes three, the second of which is 0: OpenCV interpolates two channels in steps of 1/32 pixel.
    """
    channels = values.shape[2]
    wide = np.empty((*weights.shape, 3 if channels == 1 else channels + 1), values.dtype)
    wide[..., channels:-1] = 0
    places = [place for channel in range(channels) for place in (channel, channel)]
    cv2.mixChannels([values, weights], [wide], [*places, channels, wide.shape[2] - 1])
    return wide


def zero_invalid(values: npt.NDArray[Any], valid: Flags) -> npt.NDArray[Any]:
    """A copy of values (h, w, C) of any type that is 0 where not `valid`."""
    zeroed = cv2.copyTo(np.ascontiguousarray(values), np.ascontiguousarray(valid).view(np.uint8))
    return np.asarray(zeroed).reshape(values.shape)


def divide_by_share(planes: Floats, share: Floats) -> Floats:
    """Weighted sums (C, H, W) over their weights (H, W), in place; NaN where the weights are below one half.

    Weights are 1 nearly everywhere: the others alone are divided by.
    """
    flat, weights = planes.reshape(len(planes), -1), share.reshape(-1)
    partly = np.flatnonzero((weights < 1) & (weights >= _LEAST_SHARE))
    flat[:, partly] /= weights[partly]
    np.copyto(planes, np.nan, where=~(share >= _LEAST_SHARE))
    return planes


def lies_inside(affine: Affine, source: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether all output pixels' centers lie between those of the source's pixels."""
    height, width = size
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    places = apply_affine(invert(affine), corners)
    limits = np.array([source[1] - 1, source[0] - 1])
    return bool((places >= 0).all() and (places <= limits).all())


def sample_planes(values: npt.NDArray[Any], affine: Affine, size: tuple[int, int]) -> Floats:
    """(C, H, W) float32: values (h, w, C) where an affine puts them; 0 outside.

    Args:
        values: float32, or integers, which are averaged as such where they shrink by more than 2.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.
    """
    if shrinks(affine):
        values, affine = reduce_first(values, affine, size)
    values = values.astype(np.float32, copy=False)
    warped = cv2.warpAffine(
        values, affine, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    channels = 1 if warped.ndim == 2 else warped.shape[2]
    planes = np.empty((channels, *size), np.float32)
    places = [place for channel in range(channels) for place in (channel, channel)]
    cv2.mixChannels([warped.reshape(*size, channels)], list(planes), places)
    return planes
