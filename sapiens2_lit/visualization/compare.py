"""Draw labels beside predictions."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from sapiens2_lit.visualization.draw import side_by_side
from sapiens2_lit.vocabularies import IGNORED

if TYPE_CHECKING:  # heads import this package
    from sapiens2_lit.heads.base import Batch, Head

HEIGHT = 384  # pixels at most: TensorBoard keeps every picture of a run
READABLE = 256  # pixels at least: names and points of smaller pictures would be unreadable


def compare(head: "Head", batch: "Batch", prediction: dict[str, Tensor], index: int) -> np.ndarray:
    """Draw one sample: its labels on the left, if it has any, and its prediction on the right, where labels are valid.

    The head never learned the depth of a background or the class of the padding. These values would stretch the colors
    or look meaningful, so they are left out. Predictions with a low score are drawn faintly, and the title says so.

    Args:
        head: the head whose prediction it is.
        batch: the batch with the sample.
        prediction: the head's prediction for the batch.
        index: place of the sample in the batch.

    Returns:
        RGB uint8 (H, W, 3).
    """
    views, titles = [], []
    if all(key in batch for key in head.targets):
        views.append(draw_labels(head, batch, index))
        titles.append("labels")
    shown = {key: value[index] for key, value in prediction.items()}
    remark = head.remark(shown)
    counted = head.counted_pixels(batch)
    if counted is not None and all(key in batch for key in head.targets):
        nothing = 0.0 if head.uses_valid else math.nan  # as in the labels
        shown = {key: blank(value, counted[index], nothing) for key, value in shown.items()}
    image, enlarged = readable(image_of(batch, index), shown)
    views.append(to_height(head.draw_unsure(image, enlarged)))
    titles.append(f"prediction: {remark}" if remark else "prediction")
    return side_by_side(views, titles)


def draw_labels(head: "Head", batch: "Batch", index: int) -> np.ndarray:
    """Draw the labels that a head learns from, for one sample as the network sees it.

    Args:
        head: the head whose labels are drawn.
        batch: the batch with the sample.
        index: place of the sample in the batch.

    Returns:
        RGB uint8 (H, W, 3).
    """
    image, labels = readable(image_of(batch, index), {key: batch[key][index] for key in head.targets})
    return to_height(head.draw(image, labels))


def image_of(batch: "Batch", index: int) -> np.ndarray:
    """Return the RGB uint8 (H, W, 3) image of one sample."""
    return np.ascontiguousarray(batch["image"][index].permute(1, 2, 0).cpu().numpy())


def blank(values: Tensor, counted: Tensor, nothing: float) -> Tensor:
    """Set ignored pixels of a map to class 255, or to `nothing` in a field; a value that is no map stays.

    Args:
        values: (H, W) classes, (C, H, W) a field, or something else.
        counted: (H, W) or (1, H, W) bool, false for ignored pixels.
        nothing: value of ignored pixels of a field.
    """
    counted = counted.reshape(counted.shape[-2:])
    if values.shape[-2:] != counted.shape:
        return values
    return torch.where(counted, values, nothing if values.is_floating_point() else IGNORED)


def readable(image: np.ndarray, shown: Mapping[str, Tensor]) -> tuple[np.ndarray, dict[str, Tensor]]:
    """Enlarge an image (H, W, 3) below the least readable height, with all that is drawn on it, by a whole factor.

    Points that are drawn after enlarging stay sharp, and names find room. Image and values stay as they are if one of
    the values is neither a map of the image's size nor keypoints nor a number, because then its scale is unknown.
    """
    height, width = image.shape[:2]
    times = -(-READABLE // height)
    scaled = {key: scale_up(key, value, times, (height, width)) for key, value in shown.items()}
    if times <= 1 or any(value is None for value in scaled.values()):
        return image, dict(shown)
    larger = cv2.resize(image, (width * times, height * times), interpolation=cv2.INTER_CUBIC)
    return larger, {key: value for key, value in scaled.items() if value is not None}


def scale_up(key: str, value: Tensor, times: int, size: tuple[int, int]) -> Tensor | None:
    """Scale a value that is drawn on an image to a larger image; return None if its scale is unknown.

    Args:
        key: name of the value.
        value: map (..., H, W), keypoints (..., K, 2 or more), or a scalar.
        times: factor on the image's sides.
        size: (height, width) of the image.
    """
    if value.ndim >= 2 and tuple(value.shape[-2:]) == size:
        return value.repeat_interleave(times, -2).repeat_interleave(times, -1)
    if key == "keypoints":
        points = value.clone().float()
        points[..., :2] = (points[..., :2] + 0.5) * times - 0.5
        return points
    return value if value.ndim == 0 else None


def to_height(image: np.ndarray) -> np.ndarray:
    """Resize an image (H, W, 3) to a viewable height: small ones are enlarged in blocks, large ones are shrunk."""
    if (times := -(-READABLE // image.shape[0])) > 1:
        return image.repeat(times, axis=0).repeat(times, axis=1)
    scale = HEIGHT / image.shape[0]
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
