"""From heads' results for views to predictions of whole images.

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
    """Which of several overlapping crops each pixel of an image belongs to: that in whose middle it lies most.

    Args:
        image_size: of the image.
    """

    def __init__(self, image_size: tuple[int, int]) -> None:
        self.image_size = image_size
        self.distance: npt.NDArray[np.float32] | None = (
            None  # to the nearest view's middle, in sides of its box
        )

    def take(self, view: View) -> npt.NDArray[np.bool_]:
        """(H, W) of the view's region: which of its pixels are now the view's."""
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
    """Return what heads' `predict` is told of a batch of views (B, 3, h, w)."""
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
    """What one head says about a batch of views; `Head.predict` runs once, in the first thread that asks.

    Args:
        name: of the head.
        head: the head.
        outputs: its raw outputs (B, ...).
        batch: as `batch_of` makes it.
        views: B of them.
        confidence: fill `Prediction.confidences` with how sure a dense head is, too.
        pair: its outputs for the images and for their mirror images, where these were looked at.
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
        """What a top-down head says of a view, in pixels of the original image.

        Raises:
            SettingError: it says nothing of keypoints.
        """
        found = dict(self._predict())
        if "keypoints" not in found:
            raise SettingError(
                f"{self.name}: {type(self.head).__name__} says that it is `top_down`, but its `predict` answers "
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
        """What a dense head says of a view, where it belongs in the original image.

        Args:
            index: of the view.
            prediction: of the view's image.
            taken: of the view's region, the pixels that are the view's; None for all.
        """
        view = self.views[index]
        if self.wants_confidence and all(view.region.size):
            restored = restore_field(self._sure()[index, ..., None], view)[..., 0]
            paste(prediction.confidences, self.name, restored, view, taken)
        if predicts_classes(self.head) and isinstance(self.outputs, Tensor):
            if all(view.region.size):  # else a box beside the image
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
    """Whether all that a head predicts is the class of the largest of its logits, which are better resampled."""
    return isinstance(head, SegmentationHeadBase) and type(head).predict is SegmentationHeadBase.predict


def collect_value(prediction: Prediction, name: str, key: str, value: npt.NDArray[Any], view: View) -> None:
    """Keep a number of a head's: of several crops, one entry each."""
    values = prediction.values.setdefault(name, {})
    if view.whole:
        values[key] = value
    else:
        values[key] = np.concatenate([values.get(key, value[None][:0]), value[None]])


def restore(key: str, values: npt.NDArray[Any], view: View) -> npt.NDArray[Any]:
    """One map (h, w) or (C, h, w) on the view's region of the original image: (H, W) or (H, W, C)."""
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
    """Put a part of a map where it belongs; what no view has shown is unknown."""
    if view.whole or taken is None:
        maps[key] = values
        return
    if key not in maps:
        maps[key] = unknown_map(values, view.image_size)
    maps[key][view.region][taken] = values[taken]


def unknown_map(like: npt.NDArray[Any], image_size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return a map of an image's size, of the type and channels of `like`, that says nothing: NaN, or 255."""
    fill = np.nan if np.issubdtype(like.dtype, np.floating) else IGNORED
    return np.full((*image_size, *like.shape[2:]), fill, dtype=like.dtype)


def settle_focal(prediction: Prediction) -> None:
    """The focal length that point map heads say, as the prediction's own: over crops and heads, the median."""
    found = [np.atleast_1d(values["focal"]) for values in prediction.values.values() if "focal" in values]
    finite = np.concatenate(found)[np.isfinite(np.concatenate(found))] if found else np.zeros(0)
    prediction.focal = float(np.median(finite)) if len(finite) else None


def as_array(tensor: Tensor) -> npt.NDArray[Any]:
    """On the CPU; floats as float32."""
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
