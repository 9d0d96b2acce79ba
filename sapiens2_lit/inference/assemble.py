"""Assemble predictions of whole images from the heads' results for views.

Legend: B views of a batch, C channels, h and w pixels of the input, H and W of the original image, K keypoints.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.heads.segmentation import SegmentationHeadBase
from sapiens2_lit.inference.class_maps import restore_classes
from sapiens2_lit.inference.confidence import Pair, confidence_of
from sapiens2_lit.inference.prediction import Instance, Prediction
from sapiens2_lit.inference.to_original import restore_field, restore_labels, restore_vectors
from sapiens2_lit.inference.views import View
from sapiens2_lit.vocabularies import IGNORED
from sapiens2_lit.vocabularies.tasks import map_kind


class CropOwnership:
    """Decide which of several overlapping crops owns each pixel of an image: the crop whose center is nearest.

    Distances are measured in sides of the crop's box.

    Args:
        image_size: (height, width) of the image.
    """

    def __init__(self, image_size: tuple[int, int]) -> None:
        self.image_size = image_size
        self.distance: npt.NDArray[np.float32] | None = (
            None  # to the nearest view's center, in sides of its box
        )

    def take(self, view: View) -> npt.NDArray[np.bool_]:
        """Claim the pixels that are nearer to this view's center than to those of earlier views.

        Returns:
            (H, W) of the view's region: whether the view now owns each pixel.
        """
        if self.distance is None:
            self.distance = np.full(self.image_size, np.inf, dtype=np.float32)
        x, y, w, h = view.box[:4]
        rows, columns = (np.arange(part.start, part.stop) for part in view.region)
        across, down = np.abs(columns - (x + w / 2)) / w, np.abs(rows - (y + h / 2)) / h
        distance = np.hypot(across[None, :], down[:, None]).astype(np.float32)
        here = self.distance[view.region]
        nearer = distance < here
        here[nearer] = distance[nearer]
        return nearer


def batch_of(images: Tensor, views: Sequence[View]) -> Batch:
    """Return the batch that heads' `predict` gets for views.

    Args:
        images: Inputs of the views, (B, 3, h, w).
        views: The views, (B,).
    """
    valid = torch.zeros(len(views), 1, *images.shape[-2:], dtype=torch.bool)
    for index, view in enumerate(views):
        valid[index, 0][view.shown] = True
    numbers = {
        "affine": torch.from_numpy(np.stack([view.affine for view in views]).astype(np.float32)),
        "box": torch.from_numpy(np.stack([view.box[:4] for view in views])),
        "box_score": torch.from_numpy(np.stack([view.box[4] for view in views])),
        "valid": valid,
    }
    return {"image": images, **{key: value.to(images.device) for key, value in numbers.items()}}


class FoundByHead:
    """The results of one head for a batch of views; `Head.predict` runs once, in the first thread that asks.

    Args:
        name: Of the head.
        head: The head.
        outputs: Its raw outputs (B, ...).
        batch: As `batch_of` makes it.
        views: B of them.
        confidence: Whether to fill `Prediction.confidences` for dense heads, too.
        pair: Raw outputs for the images and for their mirror images; None without flip test.
    """

    def __init__(
        self,
        name: str,
        head: Head,
        outputs: Outputs,
        batch: Batch,
        views: Sequence[View],
        confidence: bool = False,
        pair: Pair | None = None,
    ) -> None:
        self.name = name
        self.head = head
        self.outputs = outputs
        self.batch = batch
        self.views = views
        self.size = tuple(batch["image"].shape[-2:])
        self._lock = threading.Lock()
        self._found: dict[str, npt.NDArray[Any]] | None = None
        self.pair = pair
        self.wants_confidence = confidence
        self._confidence: npt.NDArray[Any] | None = None

    def add_person(self, index: int, prediction: Prediction) -> None:
        """Add a top-down head's result for a view to the prediction, in pixels of the original image.

        Args:
            index: Of the view.
            prediction: Of the view's image; changed in place.

        Raises:
            SettingError: The head predicts no keypoints.
        """
        found = dict(self._predict())
        if "keypoints" not in found:
            raise SettingError(
                f"{self.name}: {type(self.head).__name__} is declared `top_down`, but its `predict` returns "
                f"{sorted(found)}, without `keypoints` (B, K, 3)."
            )
        keypoints, scores = found.pop("keypoints"), found.pop("score", np.ones(len(self.views)))
        person = Instance(
            head=self.name,
            box=self.views[index].box[:4].copy(),
            score=float(scores[index]),
            keypoints=keypoints[index].astype(np.float32),
            values={key: value[index] for key, value in found.items()},
        )
        prediction.instances.append(person)

    def add_maps(self, index: int, prediction: Prediction, taken: npt.NDArray[np.bool_] | None) -> None:
        """Paste a dense head's results for a view where they belong in the original image.

        Args:
            index: Of the view.
            prediction: Of the view's image; changed in place.
            taken: (H, W) of the view's region: the pixels that the view owns; None for all.
        """
        view = self.views[index]
        if self.wants_confidence and all(view.region.size):
            restored = restore_field(self._sure()[index, ..., None], view)[..., 0]
            paste(prediction.confidences, self.name, restored, view, taken)
        if predicts_classes(self.head) and isinstance(self.outputs, Tensor):
            if all(view.region.size):  # empty if the box lies outside the image
                maps = prediction.maps.setdefault(self.name, {})
                paste(maps, "segmentation", restore_classes(as_array(self.outputs[index]), view), view, taken)
            return
        for key, array in self._predict().items():
            if not (array.ndim >= 3 and array.shape[-2:] == self.size):
                collect_value(prediction, self.name, key, array[index], view)
            elif all(view.region.size):
                restored = restore(key, array[index], view)
                paste(prediction.maps.setdefault(self.name, {}), key, restored, view, taken)

    def _sure(self) -> npt.NDArray[Any]:
        with self._lock:
            if self._confidence is None:
                found = confidence_of(self.head, self.outputs, self.pair, self.batch)
                self._confidence = as_array(found)
            return self._confidence

    def _predict(self) -> dict[str, npt.NDArray[Any]]:
        with self._lock:
            if self._found is None:
                found = self.head.predict(self.outputs, self.batch)
                self._found = {key: as_array(value) for key, value in found.items()}
            return self._found


def predicts_classes(head: Head) -> bool:
    """Return whether a head predicts only the class of the largest logit, so that its logits are resampled instead."""
    return isinstance(head, SegmentationHeadBase) and type(head).predict is SegmentationHeadBase.predict


def collect_value(prediction: Prediction, name: str, key: str, value: npt.NDArray[Any], view: View) -> None:
    """Store a value of a head that is not a map; the values of several crops are stacked.

    Args:
        prediction: Of the image; changed in place.
        name: Of the head.
        key: Of the value.
        value: For this view, of any shape.
        view: That the head saw.
    """
    values = prediction.values.setdefault(name, {})
    if view.whole:
        values[key] = value
    else:
        values[key] = np.concatenate([values.get(key, value[None][:0]), value[None]])


def restore(key: str, values: npt.NDArray[Any], view: View) -> npt.NDArray[Any]:
    """Resample one map to the view's region of the original image.

    Args:
        key: Of the map, which decides how it is resampled.
        values: (h, w) or (C, h, w).
        view: That the head saw.

    Returns:
        (H, W) or (H, W, C).
    """
    channels_last = values if values.ndim == 2 else np.moveaxis(values.reshape(-1, *values.shape[-2:]), 0, 2)
    if not np.issubdtype(values.dtype, np.floating):
        return restore_labels(channels_last, view)
    flat = channels_last[..., None] if values.ndim == 2 else channels_last
    kind = map_kind(key)
    unit_vectors = kind is not None and kind.values == "unit vectors"
    restored = (restore_vectors if unit_vectors else restore_field)(flat, view)
    has_axis = values.ndim > 2 and (kind is None or kind.has_channel_axis)
    return restored if has_axis else restored[..., 0]


def paste(
    maps: dict[str, npt.NDArray[Any]],
    key: str,
    values: npt.NDArray[Any],
    view: View,
    taken: npt.NDArray[np.bool_] | None,
) -> None:
    """Paste a part of a map where it belongs; pixels that no view has shown are unknown.

    Args:
        maps: Of the head, by key; changed in place.
        key: Of the map.
        values: (H, W) or (H, W, C) of the view's region.
        view: That the head saw.
        taken: (H, W) of the region: the pixels to paste; None for all.
    """
    if view.whole or taken is None:
        maps[key] = values
        return
    if key not in maps:
        maps[key] = unknown_map(values, view.image_size)
    maps[key][view.region][taken] = values[taken]


def unknown_map(like: npt.NDArray[Any], image_size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return a map (H, W) or (H, W, C) without known values: NaN, or 255 for whole numbers.

    Args:
        like: (h, w) or (h, w, C), whose type and channels it gets.
        image_size: (height, width) of the map.
    """
    fill = np.nan if np.issubdtype(like.dtype, np.floating) else IGNORED
    return np.full((*image_size, *like.shape[2:]), fill, dtype=like.dtype)


def settle_focal(prediction: Prediction) -> None:
    """Set the prediction's focal length to the median over crops and heads; None if no head predicts it."""
    found = [np.atleast_1d(values["focal"]) for values in prediction.values.values() if "focal" in values]
    finite = np.concatenate(found)[np.isfinite(np.concatenate(found))] if found else np.zeros(0)
    prediction.focal = float(np.median(finite)) if len(finite) else None


def as_array(tensor: Tensor) -> npt.NDArray[Any]:
    """Return a tensor as an array of the same shape on the CPU, floats as float32."""
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
