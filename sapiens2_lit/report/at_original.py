"""Draw a sample's labels and prediction on the original picture instead of the network's input."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.errors import DataError
from sapiens2_lit.heads.base import Batch, Head
from sapiens2_lit.transforms.geometric import Affine, apply_affine, compose, invert, translation, warp_image
from sapiens2_lit.visualization.compare import blank, image_of, readable
from sapiens2_lit.vocabularies import IGNORED

MOST = 1600  # pixels of the longer side; with larger pictures the page would have hundreds of megabytes
_ANNOTATION = " annotation "  # between the file and the person in a sample's name


def draw_views(
    head: Head, batch: Batch, prediction: Mapping[str, Tensor]
) -> tuple[dict[str, np.ndarray], str]:
    """Draw labels (if there are any) and prediction of one sample; return RGB pictures by name, and a remark.

    The part of the original picture that the network saw is shown in the original's resolution, up to 1600 pixels on
    the longer side. Samples without a file are drawn as the network sees them.

    Args:
        head: That predicts.
        batch: Of one sample.
        prediction: Of the head for the batch, in pixels of the input.

    Returns:
        Pictures (H, W, 3), and the remark.
    """
    labels = {key: batch[key][0].cpu() for key in head.targets if key in batch}
    shown = {key: value[0].cpu() for key, value in prediction.items()}
    counted = head.counted_pixels(batch)
    if counted is not None and len(labels) == len(head.targets):
        nothing = 0.0 if head.uses_valid else float("nan")
        shown = {key: blank(value, counted[0].cpu(), nothing) for key, value in shown.items()}
    remark = head.remark(shown)
    original = _original(batch)
    if original is None or not all(_can_move(key, v, batch) for key, v in {**labels, **shown}.items()):
        image = image_of(batch, 0)
        before, after = readable(image, labels), readable(image, shown)
    else:
        picture, to_picture = original
        size = (picture.shape[0], picture.shape[1])
        before = (picture, {key: move(key, value, to_picture, size) for key, value in labels.items()})
        after = (picture, {key: move(key, value, to_picture, size) for key, value in shown.items()})
    views = {}
    if len(labels) == len(head.targets):
        views["labels"] = head.draw(*before)
    views["prediction"] = head.draw_unsure(*after)
    return views, remark


def move(key: str, value: Tensor, affine: Affine, size: tuple[int, int]) -> Tensor:
    """Move labels or predictions from the input's pixels to those of another picture.

    Args:
        key: `keypoints` (K, 2 or 3) are mapped; maps (H, W) and (C, H, W) are resampled; scalars stay.
        value: In pixels of the input.
        affine: Input pixel -> pixel of the picture.
        size: (height, width) of the picture.
    """
    if value.ndim == 0:
        return value
    if key == "keypoints":
        points = value.clone().float()
        points[..., :2] = torch.from_numpy(apply_affine(affine, points[..., :2].numpy().astype(np.float64)))
        return points
    if not value.is_floating_point():
        array = value.numpy().astype(np.uint8)
        moved = _warp(array.reshape(array.shape[-2:]), affine, size, cv2.INTER_NEAREST, IGNORED)
        return torch.from_numpy(moved).to(value.dtype).reshape(*value.shape[:-2], *size)
    channels = value.reshape(-1, *value.shape[-2:]).float().numpy()
    moved = np.stack([_warp(one, affine, size, cv2.INTER_LINEAR, np.nan) for one in channels])
    return torch.from_numpy(moved).reshape(*value.shape[:-2], *size)


def _warp(field: np.ndarray, affine: Affine, size: tuple[int, int], how: int, outside: float) -> np.ndarray:
    return cv2.warpAffine(
        np.ascontiguousarray(field),
        affine,
        size[::-1],
        flags=how,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
    )


def _can_move(key: str, value: Tensor, batch: Batch) -> bool:
    """Return whether it is known how a value lies on the picture."""
    return value.ndim == 0 or key == "keypoints" or value.shape[-2:] == batch["image"].shape[-2:]


def _original(batch: Batch) -> tuple[np.ndarray, Affine] | None:
    """Return the part of the file's picture that the network saw, and the affine from the input.

    None without a file.
    """
    if "affine" not in batch or "sample" not in batch:
        return None
    file = Path(str(batch["sample"][0]).partition(_ANNOTATION)[0])
    if not file.is_file():
        return None
    try:
        image = read_image(file)
    except DataError:  # a file of another kind, such as a shard
        return None
    back = invert(batch["affine"][0].cpu().double().numpy())
    height, width = batch["image"].shape[-2:]
    corners = apply_affine(back, np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    low = np.clip(np.floor(corners.min(axis=0) + 0.5), 0, None)
    high = np.clip(np.ceil(corners.max(axis=0) + 0.5), None, image.shape[1::-1])
    if (high - low < 1).any():
        return None
    scale = min(1.0, MOST / float((high - low).max()))
    shrink = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
    place = compose(shrink, translation(-low[0], -low[1]))
    size = (max(1, round((high - low)[1] * scale)), max(1, round((high - low)[0] * scale)))
    return warp_image(image, place, size), compose(place, back)
