"""What a prediction is: numpy arrays in the original image's pixels, and the vocabularies to read them by.

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
        skeleton: names, links and colors of its keypoints, where it predicts some.
        classes: names and colors of its classes, where it predicts some.
        relative: its depth runs from 0, nearest, to 1, farthest, instead of metres.
    """

    skeleton: Skeleton | None = None
    classes: Classes | None = None
    relative: bool = False


@dataclass
class Instance:
    """One person, as one top-down head sees them.

    Attributes:
        head: name of the head.
        box: float32 (4,): x, y, width, height in original pixels, as it was given.
        score: the box's score times the mean of the keypoint scores over 0.2.
        keypoints: float32 (K, 3): x, y in original pixels, score.
        id: the person's number in a video, where people are tracked.
        values: whatever else the head answers for a person, by its key.
        doubt: why this is probably nobody, of people whom neither a user nor a detector has named: the `score` is too
            low, or the skeleton lies `outside` the picture. Such people are not drawn.
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
    """Everything that the heads say about one image.

    Attributes:
        image_size: (height, width) of the original image.
        instances: people, in the order of the boxes; of several top-down heads one after the other.
        maps: by head and key, of the original image's size:
            `segmentation` uint8 (H, W): class index, 255 where nothing is known;
            `normal` float32 (H, W, 3): unit vectors in the camera's frame (x right, y down, z forward);
            `depth` float32 (H, W): metres along z, or 0..1 where the head is relative;
            `pointmap` float32 (H, W, 3): metres in the camera's frame;
            `albedo` float32 (H, W, 3): sRGB, 0..1;
            `alpha` float32 (H, W, 1) and `foreground` float32 (H, W, 3): 0..1, the foreground premultiplied.
            A head of your own has its own keys: (H, W), or (H, W, C). Float maps are NaN where nothing is known:
            outside the boxes of `dense_view="crop"` and outside `mask_with`.
        focal: focal length in original pixels, where a point map head says so.
        values: by head and key, numbers that are no maps, such as a point map's `scale`.
        heads: how to read the results of each head.
        confidences: by dense head, where they were asked for, float32 (H, W) 0..1: how sure it is of each pixel; NaN
            where nothing is known.
        people_from: who said where people are: given `boxes`, a `detector`, the `mask` of a head; `picture` where
            nobody did and it was taken for one person who fills it.
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
    """Return what a head says about its results."""
    return HeadInfo(skeleton=head.skeleton, classes=head.classes, relative=head.relative)


def known(array: Array) -> npt.NDArray[np.bool_]:
    """(H, W): where a map of `Prediction.maps` says something."""
    if not np.issubdtype(array.dtype, np.floating):
        return np.asarray(array != IGNORED)
    finite = np.isfinite(array)
    return finite if array.ndim == 2 else np.asarray(finite.all(axis=2))
