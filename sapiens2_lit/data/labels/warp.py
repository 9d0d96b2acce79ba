"""All labels of an image, read together, and through one affine together."""

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

_NOTHING = {"valid": False, "segmentation": IGNORED}  # what says of a pixel that it does not count
_HIDDEN: dict[str, float] = {**_NOTHING, "alpha": math.nan}  # a matte counts but outside the image


def read_rasters(
    rasters: Sequence[LabelSource], image: Path, stem: str, size: tuple[int, int]
) -> dict[str, Any]:
    """Every kind of label of one image, by its key in the batch."""
    return {raster.key: raster.read(image, stem, size) for raster in rasters}


def warp_rasters(
    rasters: Sequence[LabelSource], labels: Mapping[str, Any], affine: Affine, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Return the labels of `read_rasters` as the network sees them.

    Fields become what the warped image's camera sees (A K = K' Q); without `intrinsics` among the labels, pixels are
    taken to be square. What does not count is 0 in fields that `valid` speaks of, and NaN in the others.
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
        ):  # each is 0 where it does not count itself
            zero_planes(made[field.key], valid[0])
        warped[field.key] = torch.from_numpy(made[field.key])
    return warped


def fewest_valid(labels: Mapping[str, Any], rasters: Sequence[LabelSource]) -> int | None:
    """Return the number of pixels that count in the label in which fewest do; None where labels count everywhere."""
    counts = [raster.count_valid(labels[raster.key]) for raster in rasters]
    return min((count for count in counts if count is not None), default=None)


def fewest_seen(warped: Mapping[str, Tensor]) -> int | None:
    """`fewest_valid` of labels as the network sees them."""
    counts = [
        int(np.count_nonzero(warped[key].numpy() != nothing))
        for key, nothing in _NOTHING.items()
        if key in warped
    ]
    return min(counts, default=None)


def hide(warped: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same labels, none of whose pixels counts."""
    return {key: torch.full_like(warped[key], nothing) for key, nothing in _HIDDEN.items() if key in warped}


def count_invalid(labels: Mapping[str, Any]) -> int:
    """The number of pixels of an image's fields that should count but hold no value: NaN, infinity and the like."""
    return sum(label.invalid for label in labels.values() if isinstance(label, Field))


def say_invalid(rasters: Sequence[LabelSource]) -> str:
    """Return what the pixels of `count_invalid` are, for messages."""
    kinds = dict.fromkeys(raster.no_value for raster in rasters if isinstance(raster, FieldFolder))
    return " or ".join(kinds)
