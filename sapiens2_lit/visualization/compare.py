"""Labels beside predictions."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from sapiens2_lit.visualization.draw import side_by_side
from sapiens2_lit.vocabularies import IGNORED

if TYPE_CHECKING:  # heads draw by this package
    from sapiens2_lit.heads.base import Batch, Head

HEIGHT = 384  # pixels at most: TensorBoard keeps every picture of a run
READABLE = 256  # pixels at least: names and points of smaller pictures could not be told


def compare(head: "Head", batch: "Batch", prediction: dict[str, Tensor], index: int) -> np.ndarray:
    """One sample: its labels on the left, where it has any, and its prediction on the right, where labels count.

    What nobody taught the head, such as the depth of a background or the class of the padding, would stretch the
    colors, or seem to mean something. What scores too low is drawn faintly, and the title says so.
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
    """Return the labels that a head learns from, of one sample as the network sees it."""
    image, labels = readable(image_of(batch, index), {key: batch[key][index] for key in head.targets})
    return to_height(head.draw(image, labels))


def image_of(batch: "Batch", index: int) -> np.ndarray:
    """RGB (H, W, 3) uint8 of one sample."""
    return np.ascontiguousarray(batch["image"][index].permute(1, 2, 0).cpu().numpy())


def blank(values: Tensor, counted: Tensor, nothing: float) -> Tensor:
    """Return a map without what does not count: classes are ignored there, fields `nothing`; what is no map stays.

    Args:
        values: (H, W) classes, (C, H, W) a field, or something else.
        counted: (H, W) or (1, H, W) bool.
    """
    counted = counted.reshape(counted.shape[-2:])
    if values.shape[-2:] != counted.shape:
        return values
    return torch.where(counted, values, nothing if values.is_floating_point() else IGNORED)


def readable(image: np.ndarray, shown: Mapping[str, Tensor]) -> tuple[np.ndarray, dict[str, Tensor]]:
    """Return an image and what is drawn on it, a whole number of times as large where the image is small.

    Drawn afterwards, points stay sharp, and names find room. Left as they are where something is neither a map of the
    image's size nor keypoints nor a number: nobody knows how that is scaled.
    """
    height, width = image.shape[:2]
    times = -(-READABLE // height)
    scaled = {key: scale_up(key, value, times, (height, width)) for key, value in shown.items()}
    if times <= 1 or any(value is None for value in scaled.values()):
        return image, dict(shown)
    larger = cv2.resize(image, (width * times, height * times), interpolation=cv2.INTER_CUBIC)
    return larger, {key: value for key, value in scaled.items() if value is not None}


def scale_up(key: str, value: Tensor, times: int, size: tuple[int, int]) -> Tensor | None:
    """Return what is drawn on an image, for one that is `times` as large; None where that is not known."""
    if value.ndim >= 2 and tuple(value.shape[-2:]) == size:
        return value.repeat_interleave(times, -2).repeat_interleave(times, -1)
    if key == "keypoints":
        points = value.clone().float()
        points[..., :2] = (points[..., :2] + 0.5) * times - 0.5
        return points
    return value if value.ndim == 0 else None


def to_height(image: np.ndarray) -> np.ndarray:
    """Of a height at which it is looked at: small ones are enlarged, as blocks, large ones shrunk."""
    if (times := -(-READABLE // image.shape[0])) > 1:
        return image.repeat(times, axis=0).repeat(times, axis=1)
    scale = HEIGHT / image.shape[0]
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
