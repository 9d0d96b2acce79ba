"""Predictions: numpy arrays in the original image's pixels, and the vocabularies to read them by.

Legend: H and W pixels of the original image, K keypoints, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.heads.base import Head
from sapiens2_lit.vocabularies import IGNORED, Classes, Skeleton

Array = npt.NDArray[Any]
Doubt = Literal["score", "outside"]
PeopleFrom = Literal["boxes", "detector", "mask", "picture"]


@dataclass(frozen=True)
class HeadInfo:
    """How to read the results of one head.

    Attributes:
        skeleton: Names, links and colors of its keypoints; None if it predicts none.
        classes: Names and colors of its classes; None if it predicts none.
        relative: Whether its depth runs from 0, nearest, to 1, farthest, instead of meters.
    """

    skeleton: Skeleton | None = None
    classes: Classes | None = None
    relative: bool = False


@dataclass
class Instance:
    """One person, as one top-down head sees them.

    Attributes:
        head: Name of the head.
        box: float32 (4,): x, y, width, height in original pixels, as given.
        score: The box's score times the mean of the keypoint scores above 0.2.
        keypoints: float32 (K, 3): x, y in original pixels, score.
        id: The person's number in a video; None without tracking.
        values: All other results of the head for this person, by key.
        doubt: Why this is probably nobody: the `score` is too low, or the skeleton lies `outside` the picture; None if
            it may be right, or if a user or a detector gave the box. Doubtful people are not drawn.
    """

    head: str
    box: npt.NDArray[np.float32]
    score: float
    keypoints: npt.NDArray[np.float32]
    id: int | None = None
    values: dict[str, Array] = field(default_factory=dict)
    doubt: Doubt | None = None


@dataclass
class Prediction:
    """All results of the heads for one image.

    Attributes:
        image_size: (height, width) of the original image.
        instances: People, in the order of the boxes; one head after the other if there are several top-down heads.
        maps: By head and key, in the original image's size:
            `segmentation` uint8 (H, W): class index, 255 if unknown;
            `normal` float32 (H, W, 3): unit vectors in the camera's frame (x right, y down, z forward);
            `depth` float32 (H, W): meters along z, or 0..1 if the head is relative;
            `pointmap` float32 (H, W, 3): meters in the camera's frame;
            `albedo` float32 (H, W, 3): sRGB, 0..1;
            `alpha` float32 (H, W, 1) and `foreground` float32 (H, W, 3): 0..1, the foreground premultiplied.
            A custom head has its own keys: (H, W), or (H, W, C). Float maps are NaN where they are unknown: outside the
            boxes of `dense_view="crop"` and outside `mask_with`.
        focal: Focal length in original pixels; None if no point map head predicts it.
        values: By head and key, values that are not maps, such as a point map's `scale`.
        heads: How to read the results of each head.
        confidences: By dense head, if asked for, float32 (H, W) 0..1: how sure it is of each pixel; NaN where unknown.
        people_from: Where people come from: given `boxes`, a `detector`, the `mask` of a head; `picture` if nothing
            found them, so that the image is treated as one person who fills it.
    """

    image_size: tuple[int, int]
    instances: list[Instance] = field(default_factory=list)
    maps: dict[str, dict[str, Array]] = field(default_factory=dict)
    focal: float | None = None
    values: dict[str, dict[str, Array]] = field(default_factory=dict)
    heads: Mapping[str, HeadInfo] = field(default_factory=dict)
    confidences: dict[str, Array] = field(default_factory=dict)
    people_from: PeopleFrom = "picture"


def info_of(head: Head) -> HeadInfo:
    """Return how to read a head's results."""
    return HeadInfo(skeleton=head.skeleton, classes=head.classes, relative=head.relative)


def known(array: Array) -> npt.NDArray[np.bool_]:
    """Return where a map of `Prediction.maps` is known, (H, W).

    Args:
        array: (H, W) or (H, W, C).
    """
    if not np.issubdtype(array.dtype, np.floating):
        return np.asarray(array != IGNORED)
    finite = np.isfinite(array)
    return finite if array.ndim == 2 else np.asarray(finite.all(axis=2))
