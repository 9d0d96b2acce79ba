"""How an affine warps a field: a map of numbers that is valid only in places (depth, normals, albedo).

Legend: h, w are pixels of the source; H, W of the output; C channels.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.transforms.geometric import Affine, apply_affine, average_blocks, block_of, invert

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

# An output pixel is valid if at least half of its weights fall on valid pixels. So the edge of the valid area stays.
LEAST_SHARE = 0.5


def warp_field(values: Floats, valid: Flags, affine: Affine, size: tuple[int, int]) -> Floats:
    """Resample a field once, by linear interpolation among valid pixels.

    Args:
        values: (h, w, C), C at most 3; any number where not `valid`.
        valid: (h, w).
        affine: source pixel -> output pixel.
        size: (height, width) of the output.

    Returns:
        (H, W, C), NaN where less than half of the interpolated area is valid.
    """
    whole = np.count_nonzero(valid) == valid.size
    return warp_planes(values, None if whole else valid, affine, size).transpose(1, 2, 0)


def warp_planes(
    values: npt.NDArray[Any], valid: Flags | None, affine: Affine, size: tuple[int, int]
) -> Floats:
    """Resample a field as `warp_field` does, with the result's channels first.

    With channels first, numpy divides and selects whole planes at once; with three channels last it takes ten times as
    long.

    Args:
        values: (h, w, C), C 1 or 3; any number where not `valid`.
        valid: (h, w), or None if all pixels are valid.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.

    Returns:
        (C, H, W), NaN where less than half of the interpolated area is valid.
    """
    channels = values.shape[2]
    whole_blocks = all(
        side % step == 0 for side, step in zip(values.shape[:2], block_of(affine), strict=True)
    )
    if valid is None and whole_blocks and lies_inside(affine, (values.shape[0], values.shape[1]), size):
        return sample_planes(with_weights(values) if channels == 3 else values, affine, size)[:channels]
    return warp_weighted(with_weights(values), valid, affine, size)


def warp_weighted(wide: Floats, valid: Flags | None, affine: Affine, size: tuple[int, int]) -> Floats:
    """Resample a field as `warp_planes` does, given values that already have their weights as last channel.

    Args:
        wide: (h, w, C + 1) as `with_weights` returns it.
        valid: (h, w), or None if all pixels are valid.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.

    Returns:
        (C, H, W), NaN where less than half of the interpolated area is valid.
    """
    channels = 3 if wide.shape[2] == 4 else 1
    planes = sample_planes(wide if valid is None else zero_invalid(wide, valid), affine, size)
    return divide_by_share(planes[:channels], planes[-1])


def with_weights(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return 3-D values (h, w, C), C 1 or 3, with one more channel that holds the weight 1 everywhere.

    The weight 1 is the largest integer of an integer type, and 1 of a float type. OpenCV warps four channels three
    times as fast as three. A field of one channel becomes two channels. `sample_planes` warps these one by one, because
    OpenCV interpolates two channels together in steps of 1/32 pixel.
    """
    if values.shape[2] == 3:
        return np.asarray(cv2.cvtColor(values, cv2.COLOR_RGB2RGBA))
    one = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return np.asarray(cv2.merge([values, np.full(values.shape[:2], one, values.dtype)]))


def zero_invalid(values: npt.NDArray[Any], valid: Flags) -> npt.NDArray[Any]:
    """Return a copy of 3-D values (h, w, C) of any type that is 0 where `valid` (h, w) is false."""
    zeroed = cv2.copyTo(np.ascontiguousarray(values), np.ascontiguousarray(valid).view(np.uint8))
    return np.asarray(zeroed).reshape(values.shape)


def zero_planes(planes: Floats, valid: Flags) -> Floats:
    """Set planes (C, H, W) to 0 in place where `valid` (H, W) is false, by their bits: ten times as fast."""
    planes.view(np.int32)[...] &= -valid.view(np.int8).astype(np.int32)
    return planes


def divide_by_share(planes: Floats, share: Floats) -> Floats:
    """Divide weighted sums (C, H, W) by their weights (H, W) in place; NaN where the weights are below one half."""
    counted = np.where(share >= LEAST_SHARE, share, np.float32(np.nan))
    for plane in planes:
        cv2.divide(plane, counted, dst=plane)
    return planes


def box_of(flags: npt.NDArray[Any]) -> tuple[slice, slice]:
    """Return rows and columns of the smallest rectangle that contains all nonzero pixels of a 2-D (h, w) array."""
    left, top, width, height = cv2.boundingRect(flags.view(np.uint8))
    return slice(top, top + height), slice(left, left + width)


def lies_inside(affine: Affine, source: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the centers of all output pixels lie between centers of source pixels.

    Args:
        affine: source pixel -> output pixel.
        source: (height, width) of the source.
        size: (height, width) of the output.
    """
    height, width = size
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    places = apply_affine(invert(affine), corners)
    limits = np.array([source[1] - 1, source[0] - 1])
    return bool((places >= 0).all() and (places <= limits).all())


def sample_planes(values: npt.NDArray[Any], affine: Affine, size: tuple[int, int]) -> Floats:
    """Warp values (h, w, C), C 1, 2 or 4, into float32 planes (C, H, W); 0 outside the source.

    Args:
        values: float32, or integers, which are averaged as integers if the affine shrinks by more than 2.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.
    """
    if (block := block_of(affine)) != (1, 1):
        values, affine = average_blocks(values, block, affine)
    values = values.astype(np.float32, copy=False)
    channels = 1 if values.ndim == 2 else values.shape[2]
    planes = np.empty((channels, *size), np.float32)
    if channels < 4:
        split = cv2.split(values) if channels > 1 else (values,)
        for plane, one in zip(planes, split, strict=True):
            cv2.warpAffine(one, affine, size[::-1], dst=plane, flags=cv2.INTER_LINEAR)
        return planes
    cv2.split(cv2.warpAffine(values, affine, size[::-1], flags=cv2.INTER_LINEAR), list(planes))
    return planes
