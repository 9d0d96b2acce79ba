"""Predict on images in Python: numpy in, numpy out, in the original image's pixels."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.assemble import (
    CropOwnership,
    batch_of,
    collect_maps,
    collect_people,
    settle_focal,
)
from sapiens2_lit.inference.inputs import RGB, Boxes, Image, check_boxes, per_image, read
from sapiens2_lit.inference.masking import check_mask_head, mask_maps, people_of, tells_people
from sapiens2_lit.inference.model import InferenceModel, Precision, load_model
from sapiens2_lit.inference.prediction import HeadInfo, Instance, Prediction, info_of
from sapiens2_lit.inference.test_time_augmentation import scaled_sizes, warn_of_heads_left_out
from sapiens2_lit.inference.trained_view import data_setting
from sapiens2_lit.inference.views import View, crop_view, whole_view
from sapiens2_lit.models.multi_scale import Size
from sapiens2_lit.transforms.crop import BOX_PADDING

__all__ = ["HeadInfo", "Instance", "Prediction", "Predictor", "load"]

DenseView = Literal["whole", "crop"]
Detector = Callable[[RGB], npt.NDArray[np.floating]]

log = logging.getLogger(__name__)


class Predictor:
    """A model, and how it is used. `sapiens2_lit.load` makes one.

    Top-down heads (pose) see a crop around each box; dense heads see the whole image, its aspect kept or stretched as
    the model was trained, or the same crops, whose results are pasted back. Heads that see the same share one pass
    of the backbone.

    Args:
        model: backbone and heads.
        batch_size: views that pass through the networks at a time.
        flip: average with the mirrored images, where a head can.
        scales: factors on the input's size to average over, where a head can.
        dense_view: `whole`, or `crop` for the boxes of people alone.
        box_padding: factor on the sides of boxes; that of the training's data, or 1.25, where absent.
        mask_with: the head, of classes with a background or of mattes, outside whose people other dense maps say
            nothing; or a model of its own (a file, folder or hub id) with one such head.
        detector: from RGB uint8 (H, W, 3) to boxes (N, 5), x, y, width, height and score, for images without boxes.
        trust: classes or modules that the file of `mask_with` may name, as of `load`.

    Raises:
        SettingError: a setting is out of its range, or fits no head.
    """

    def __init__(
        self,
        model: InferenceModel,
        *,
        batch_size: int = 4,
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
        dense_view: DenseView = "whole",
        box_padding: float | None = None,
        mask_with: str | None = None,
        detector: Detector | None = None,
        trust: Iterable[str] = (),
    ) -> None:
        if batch_size < 1:
            raise SettingError(f"batch_size: found {batch_size}, expected 1 or more.")
        if dense_view not in ("whole", "crop"):
            raise SettingError(f"dense_view: found {dense_view!r}, expected whole or crop.")
        padding = trained_padding(model) if box_padding is None else box_padding
        if not padding > 0:
            raise SettingError(
                f"box_padding: found {padding}, expected a factor above 0, such as {BOX_PADDING}."
            )
        self.model = model
        self.batch_size = batch_size
        self.flip = flip
        self.sizes: list[Size] = scaled_sizes(model.image_size, scales, model.backbone.patch_size)
        self.dense_view = dense_view
        self.box_padding = padding
        self.detector = detector
        self.infos = {name: info_of(head) for name, head in model.named_heads()}
        self.top_down = [name for name, head in model.named_heads() if head.top_down]
        self.dense = [name for name, head in model.named_heads() if not head.top_down]
        self.masker, self.mask_with = self._find_masker(mask_with, trust)
        warn_of_heads_left_out(model, model.image_size, self.sizes, flip)
        self._warned = False

    @overload
    def predict(self, image: Image, boxes: Boxes = None) -> Prediction: ...
    @overload
    def predict(
        self, image: list[Image] | tuple[Image, ...], boxes: Sequence[Boxes] | None = None
    ) -> list[Prediction]: ...
    def predict(self, image: Any, boxes: Any = None) -> Prediction | list[Prediction]:
        """What the heads say about an image, or about each of a list of images, of any sizes.

        Args:
            image: RGB uint8 (H, W, 3), a PIL image or a path; or a list of them.
            boxes: of people, (N, 4) x, y, width, height in the image's pixels, or (N, 5) with a score; for a list of
                images a list. None for what the detector finds, or, without one, the whole image as one box. An empty
                one means that nobody is there.

        Raises:
            DataError: an image cannot be read, or is none; boxes that are none.
        """
        if isinstance(image, list | tuple):
            given = per_image(boxes, len(image))
            found: list[Prediction] = []
            for start in range(0, len(image), self.batch_size):  # so that few of many files are in memory
                places = range(start, min(start + self.batch_size, len(image)))
                images = [read(image[place], place) for place in places]
                found += self._predict(images, [given[place] for place in places], start)
            return found
        return self._predict([read(image)], [boxes])[0]

    @torch.inference_mode()
    def _predict(self, images: list[RGB], boxes: list[Boxes], first: int = 0) -> list[Prediction]:
        """Predict on some images at once; `first` is the place of the first of them, for messages."""
        predictions = [Prediction(image.shape[:2], heads=self.infos) for image in images]
        people = [self._people(first + place, image, boxes[place]) for place, image in enumerate(images)]
        for names, views in self._group(images, people):
            claims = [CropOwnership(prediction.image_size) for prediction in predictions]
            for start in range(0, len(views), self.batch_size):
                self._run(names, views[start : start + self.batch_size], images, predictions, claims)
        for prediction in predictions:
            prediction.instances.sort(key=lambda one: self.top_down.index(one.head))
            settle_focal(prediction)
        self._mask(images, people, predictions)
        return predictions

    def _run(
        self,
        names: list[str],
        views: list[View],
        images: list[RGB],
        predictions: list[Prediction],
        claims: list[CropOwnership],
    ) -> None:
        """One batch of views through the heads called `names`, into the predictions of their images."""

        def render(size: Size) -> Tensor:
            pixels = np.stack([view.render(images[view.image], size) for view in views])
            return torch.from_numpy(pixels).to(self.model.device).permute(0, 3, 1, 2).contiguous()

        inputs = render(self.model.image_size)
        outputs = self.model.evaluate(inputs, names, flip=self.flip, sizes=self.sizes, render=render)
        batch = batch_of(inputs, views)
        dense = any(name in self.dense for name in names)
        taken = [claims[view.image].take(view) for view in views] if dense else []
        for name, head in self.model.named_heads():
            if name not in names:
                continue
            if head.top_down:
                people = collect_people(name, head, outputs[name], batch, views)
                for view, person in zip(views, people, strict=True):
                    predictions[view.image].instances.append(person)
            else:
                collect_maps(name, head, outputs[name], batch, views, taken, predictions)

    def _people(self, place: int, image: RGB, boxes: Boxes) -> npt.NDArray[np.float32] | None:
        """Boxes (N, 5) of an image, or None for the whole of it."""
        if boxes is None and self.detector is not None and self.uses_boxes:
            return check_boxes(self.detector(image), f"the detector's boxes of image {place}")
        if boxes is None:
            return None
        if not self.uses_boxes and not self._warned:
            self._warned = True
            log.warning(
                "boxes: no head sees people one by one here; dense_view='crop' would make dense heads do so."
            )
        return check_boxes(boxes, f"image {place}")

    @property
    def uses_boxes(self) -> bool:
        """Whether any head sees people one by one."""
        return bool(self.top_down) or self.dense_view == "crop"

    def _group(
        self, images: list[RGB], people: list[npt.NDArray[np.float32] | None]
    ) -> list[tuple[list[str], list[View]]]:
        """Which heads see which views; each group is one run of the backbone over its views."""
        on_crops = [*self.top_down, *(self.dense if self.dense_view == "crop" else [])]
        on_wholes = [name for name in self.dense if name not in on_crops]
        crops: list[View] = []
        wholes: list[View] = []
        shared: list[View] = []  # all heads see the whole image
        size, view = self.model.image_size, self.model.view
        apart = view == "stretch" and bool(on_crops) and bool(on_wholes)  # people are never stretched
        for place, (image, boxes) in enumerate(zip(images, people, strict=True)):
            image_size = (image.shape[0], image.shape[1])
            if boxes is None:
                if apart:
                    crops.append(whole_view(place, image_size, size, as_person=True))
                    wholes.append(whole_view(place, image_size, size, view=view))
                else:
                    shared.append(whole_view(place, image_size, size, as_person=not self.dense, view=view))
                continue
            crops += [crop_view(place, image_size, size, box, self.box_padding) for box in boxes]
            wholes.append(whole_view(place, image_size, size, view=view))
        groups = [(on_crops, crops), (on_wholes, wholes), ([*self.top_down, *self.dense], shared)]
        return [(names, views) for names, views in groups if names and views]

    def _find_masker(self, mask_with: str | None, trust: Iterable[str]) -> tuple["Predictor | None", str]:
        """Who says where people are: this predictor (None) or another one, and by which head."""
        if mask_with is None or mask_with in self.infos:
            if mask_with is not None:
                check_mask_head(self.model, mask_with)
            return None, mask_with or ""
        if not Path(mask_with).expanduser().exists() and not is_hub_id(mask_with):
            check_mask_head(self.model, mask_with)
        model = load_model(mask_with, device=self.model.device, precision=self.model.precision, trust=trust)
        able = [name for name, head in model.named_heads() if tells_people(head)]
        if len(able) != 1:
            raise SettingError(
                f"mask_with: {model.origin} has {len(able)} heads that say where people are, expected one."
            )
        other = Predictor(model, batch_size=self.batch_size, flip=self.flip, dense_view=self.dense_view)
        return other, able[0]

    def _mask(
        self,
        images: list[RGB],
        people: list[npt.NDArray[np.float32] | None],
        predictions: list[Prediction],
    ) -> None:
        if not self.mask_with:
            return
        boxes = people if self.dense_view == "crop" else [None] * len(images)
        masks = predictions if self.masker is None else self.masker._predict(images, [*boxes])
        for prediction, mask in zip(predictions, masks, strict=True):
            mask_maps(prediction, people_of(mask, self.mask_with))


def trained_padding(model: InferenceModel) -> float:
    """The factor on the sides of boxes that a model was trained with, or the usual one."""
    padding = data_setting(model.config, "padding")
    return BOX_PADDING if padding is None else float(padding)


def load(
    source: str | Path,
    *,
    device: str | torch.device = "auto",
    precision: Precision = "float32",
    compile: bool = False,
    ema: bool = True,
    backbone: str | None = None,
    trust: Iterable[str] = (),
    allow_nonfinite: bool = False,
    **options: Any,
) -> Predictor:
    """A predictor with the networks of a checkpoint, of a released task model, or of a `transformers` model.

    Args:
        source: a checkpoint of ours (.ckpt), or a task model: a file, a folder or a hub id such as
            `facebook/sapiens2-seg-0.4b`.
        device: where it runs; `auto` for CUDA or MPS where there is one, else the CPU.
        precision: `float32`, or `bf16` by autocast.
        compile: compile the backbone's blocks in place.
        ema: take the averaged weights where a checkpoint has them.
        backbone: where the pretrained backbone of a checkpoint is that holds only what was trained, if it has moved.
        trust: classes or modules (`contact.ContactHead`, `contact`) that the file may name besides those of this
            package, torch and lightning; those of the variable SAPIENS2_LIT_TRUST, separated by commas, are, too.
        allow_nonfinite: load weights that are NaN or infinite.
        options: of the `Predictor`: batch_size, flip, scales, dense_view, box_padding, mask_with, detector.

    Raises:
        UntrustedError: the file names a class that is not trusted; nothing of it was imported.
        WeightsError: nothing is there, it is no model that can predict, or a weight is not finite.
        SettingError: naming the setting, what was found and what was expected.
    """
    model = load_model(
        source,
        device=device,
        precision=precision,
        compile=compile,
        ema=ema,
        backbone=backbone,
        trust=trust,
        allow_nonfinite=allow_nonfinite,
    )
    return Predictor(model, trust=trust, **options)
