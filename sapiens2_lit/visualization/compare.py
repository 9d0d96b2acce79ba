"""Labels beside predictions."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from sapiens2_lit.visualization.draw import side_by_side

if TYPE_CHECKING:  # heads draw by this package
    from sapiens2_lit.heads.base import Batch, Head


def compare(head: "Head", batch: "Batch", prediction: dict[str, torch.Tensor], index: int) -> np.ndarray:
    """One sample: its labels on the left, where it has any, and its prediction on the right, where labels count.

    What nobody taught the head, such as the depth of a background, would stretch the colors.
    """
    image = batch["image"][index].permute(1, 2, 0).cpu().numpy()
    views = {}
    shown = {key: value[index] for key, value in prediction.items()}
    if all(key in batch for key in head.targets):
        views["labels"] = head.draw(image, {key: batch[key][index] for key in head.targets})
        if head.uses_valid and "valid" in batch:
            valid = batch["valid"][index]
            shown = {
                key: torch.where(valid, value, 0) if value.ndim == 3 else value
                for key, value in shown.items()
            }
    views["prediction"] = head.draw(image, shown)
    return side_by_side([shrink(view) for view in views.values()], titles=list(views))


def shrink(image: np.ndarray) -> np.ndarray:
    """At most 384 pixels high: TensorBoard keeps every picture of a run."""
    scale = 384 / image.shape[0]
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
