"""Read all labels of an image together, and warp them by one affine."""

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.data.labels.base import LabelSource
from sapiens2_lit.data.labels.field import FieldFolder
from sapiens2_lit.data.labels.stored_field import Field
from sapiens2_lit.geometry import warp_camera
from sapiens2_lit.transforms.fields import zero_planes
from sapiens2_lit.transforms.geometric import Affine
from sapiens2_lit.vocabularies import IGNORED

_NOTHING = {"valid": False, "segmentation": IGNORED}  # values that mark a pixel as ignored
_HIDDEN: dict[str, float] = {
    **_NOTHING,
    "alpha": math.nan,
}  # a matte is valid everywhere but outside the image


def read_rasters(
    rasters: Sequence[LabelSource], image: Path, stem: str, size: tuple[int, int]
) -> dict[str, Any]:
    """Read every kind of label of one image, by its key in the batch.

    Args:
        rasters: the kinds of labels.
        image: the image.
        stem: its stem.
        size: (height, width) of the upright image.
    """
    return {raster.key: raster.read(image, stem, size) for raster in rasters}


def warp_rasters(
    rasters: Sequence[LabelSource], labels: Mapping[str, Any], affine: Affine, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Return the labels of `read_rasters` as the network sees them.

    Fields are converted to the camera of the warped image (A K = K' Q); without `intrinsics` among the labels, pixels
    are taken to be square. Invalid pixels are 0 in fields with `valid`, and NaN in the others.

    Args:
        rasters: the kinds of labels.
        labels: as `read_rasters` returns them.
        affine: image pixel -> input pixel.
        size: (height, width) of the input.
    """
    fields = [raster for raster in rasters if isinstance(raster, FieldFolder)]
    warped = {
        raster.key: raster.warp(labels[raster.key], affine, size)
        for raster in rasters
        if not isinstance(raster, FieldFolder)
    }
    if not fields:
        return warped
    intrinsics, turn = (
        matrix.astype(np.float32) for matrix in warp_camera(labels.get("intrinsics", np.eye(3)), affine)
    )
    sources = [warped["valid"].numpy()] if "valid" in warped else []
    made: dict[str, npt.NDArray[np.float32]] = {}
    for field in fields:
        sampled = labels[field.key].sample(affine, size)
        made[field.key] = field.settle(sampled, turn, intrinsics)
        sources += [sampled.valid()] if field.uses_valid else []
    valid: npt.NDArray[np.bool_] | None = reduce(np.logical_and, sources) if sources else None
    if valid is not None:
        warped["valid"] = torch.from_numpy(valid)
    for field in fields:
        if (
            field.uses_valid and valid is not None and len(sources) > 1
        ):  # each is already 0 where it is itself invalid
            zero_planes(made[field.key], valid[0])
        warped[field.key] = torch.from_numpy(made[field.key])
    return warped


def fewest_valid(labels: Mapping[str, Any], rasters: Sequence[LabelSource]) -> int | None:
    """Return the number of valid pixels of the label with the fewest; None if all labels are valid everywhere."""
    counts = [raster.count_valid(labels[raster.key]) for raster in rasters]
    return min((count for count in counts if count is not None), default=None)


def fewest_seen(warped: Mapping[str, Tensor]) -> int | None:
    """Return `fewest_valid` of labels as the network sees them."""
    counts = [
        int(np.count_nonzero(warped[key].numpy() != nothing))
        for key, nothing in _NOTHING.items()
        if key in warped
    ]
    return min(counts, default=None)


def hide(warped: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same labels with all pixels ignored."""
    return {key: torch.full_like(warped[key], nothing) for key, nothing in _HIDDEN.items() if key in warped}


def count_invalid(labels: Mapping[str, Any]) -> int:
    """Return how many pixels of an image's fields should be valid but hold no value: NaN, infinity and the like."""
    return sum(label.invalid for label in labels.values() if isinstance(label, Field))


def say_invalid(rasters: Sequence[LabelSource]) -> str:
    """Return what the pixels in `count_invalid` hold, for messages."""
    kinds = dict.fromkeys(raster.no_value for raster in rasters if isinstance(raster, FieldFolder))
    return " or ".join(kinds)
