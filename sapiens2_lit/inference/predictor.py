"""Predict on images in Python: numpy in, numpy out, in the original image's pixels."""

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.assemble import settle_focal
from sapiens2_lit.inference.grouping import Grouping
from sapiens2_lit.inference.inputs import RGB, Boxes, Image, check, check_boxes, per_image, read
from sapiens2_lit.inference.masking import check_mask_head, mask_maps, people_of, tells_people
from sapiens2_lit.inference.model import InferenceModel, load_model
from sapiens2_lit.inference.pending import Pending
from sapiens2_lit.inference.people.doubts import check_least_score, mark_doubts
from sapiens2_lit.inference.people.own_mask import find_own_mask
from sapiens2_lit.inference.people.tiles import Tiles
from sapiens2_lit.inference.prediction import HeadInfo, Instance, Prediction, info_of
from sapiens2_lit.inference.runner import Runner
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.stream import stream
from sapiens2_lit.inference.test_time_augmentation import scaled_sizes, warn_of_heads_left_out
from sapiens2_lit.inference.trained_view import trained_padding
from sapiens2_lit.inference.views import Rendered
from sapiens2_lit.models.multi_scale import Size
from sapiens2_lit.transforms.crop import BOX_PADDING

__all__ = ["HeadInfo", "Instance", "Prediction", "Predictor"]

DenseView = Literal["whole", "crop"]
Detector = Callable[[RGB], npt.NDArray[np.floating]]

log = logging.getLogger(__name__)


class Predictor:
    """A model with the settings of its use. `sapiens2_lit.load` makes one.

    Top-down heads (pose) see a crop around each box. Dense heads see the whole image, letterboxed or stretched as in
    training, or the same crops, whose results are pasted back. Heads that see the same views share one pass of the
    backbone.

    Args:
        model: Backbone and heads.
        batch_size: Views that pass through the networks at a time.
        flip: Average with the mirrored images, for heads that can.
        scales: Factors on the input's size to average over, for heads that can.
        dense_view: `whole`, or `crop` for the boxes of people alone.
        box_padding: Factor on the sides of boxes; None for that of the training's data, or 1.25.
        mask_with: Name of a head (classes with a background, or mattes) outside whose people other dense maps are NaN;
            or another model (a file, folder or hub id) with one such head.
        detector: Finds people on images without boxes: `self`, a segmentation or matting head of the model or of
            `mask_with`; `auto`, the same if there is one; a function from RGB uint8 (H, W, 3) to boxes (N, 5), x, y,
            width, height and score; None treats each image as one person who fills it.
        tiles: For `self`: number of parts along the longer side of an image that are searched besides the whole image,
            for tiny people; `auto` for images much larger than the input.
        person_score: Least score of people whom `self` found, or who are assumed to fill an image; others are doubtful
            (`Instance.doubt`). None for 0.05 above the score from which a head draws keypoints, 0.35 for most heads.
        trust: Classes or modules that the file of `mask_with` may name, as for `load`.
        confidence: Fill `Prediction.confidences`, too.

    Raises:
        SettingError: A setting is out of its range, or fits no head.
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
        detector: Detector | Literal["auto", "self"] | None = "auto",
        tiles: Tiles = 1,
        person_score: float | None = None,
        trust: Iterable[str] = (),
        confidence: bool = False,
    ) -> None:
        if batch_size < 1:
            raise SettingError(f"batch_size: found {batch_size}, expected 1 or more.")
        if dense_view not in ("whole", "crop"):
            raise SettingError(f"dense_view: found {dense_view!r}, expected whole or crop.")
        padding = trained_padding(model.config) if box_padding is None else box_padding
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
        self.grouping = Grouping(model, self.top_down, self.dense, dense_view == "crop", padding)
        self.runner = Runner(model, batch_size, flip, self.sizes, confidence)
        self.person_score = person_score
        masks = self.runner if self.masker is None else self.masker.runner
        self.own_mask = find_own_mask(
            detector, masks, self.mask_with, self.runner, padding, tiles, needed=self.uses_boxes
        )
        check_least_score(person_score)
        warn_of_heads_left_out(model, model.image_size, self.sizes, flip)
        self._warned = False

    @overload
    def predict(self, image: Image, boxes: Boxes = None) -> Prediction: ...
    @overload
    def predict(
        self, image: list[Image] | tuple[Image, ...], boxes: Sequence[Boxes] | None = None
    ) -> list[Prediction]: ...
    def predict(self, image: Any, boxes: Any = None) -> Prediction | list[Prediction]:
        """Return the heads' prediction for an image, or for each of a list of images, of any sizes.

        Args:
            image: RGB uint8 (H, W, 3), a PIL image or a path; or a list of them.
            boxes: Of people, (N, 4) x, y, width, height in the image's pixels, or (N, 5) with a score; for a list of
                images a list. None for the people whom `detector` finds. An empty array means that nobody is there.

        Raises:
            DataError: An image cannot be read or is invalid, or boxes are.
        """
        if isinstance(image, list | tuple):
            given = per_image(boxes, len(image))
            found: list[Prediction] = []
            for start in range(0, len(image), self.batch_size):  # keeps few of many files in memory
                places = range(start, min(start + self.batch_size, len(image)))
                images = [read(image[place], place) for place in places]
                found += self._predict(images, [given[place] for place in places], start)
            return found
        return self._predict([read(image)], [boxes])[0]

    def stream(
        self, images: Iterable[Image | Frame], boxes: Iterable[Boxes] | None = None
    ) -> Generator[Prediction, None, None]:
        """Return a generator of predictions for an iterable of images, in order, while the next ones are under way.

        Only a few are in memory at a time, limited by bytes. Closing the generator ends its threads.

        Args:
            images: As for `predict`, or frames of `open_source`; a separate thread takes them when there is room.
            boxes: Of each image, as for `predict`.

        Raises:
            DataError: An image or boxes cannot be read or are invalid; predictions for earlier images have been
                returned.
            SettingError: There are fewer boxes than images.
        """
        return stream(self, images, boxes)

    def _predict(self, images: list[RGB], boxes: list[Boxes], first: int = 0) -> list[Prediction]:
        return [one.finish() for one in self.start(images, boxes, first)]

    def render(self, image: RGB, boxes: Boxes) -> Rendered:
        """Return the networks' inputs for an image, as far as they are known before the networks run; in any thread.

        With many people some inputs are left for later, since few are needed at a time. `start` reports invalid images
        and boxes.

        Args:
            image: RGB uint8 (H, W, 3).
            boxes: As for `predict`.
        """
        try:
            check(image, "image")
            people = None if boxes is None else check_boxes(boxes, "boxes")
        except DataError:
            return {}
        if people is None and self.uses_boxes and (callable(self.detector) or self.own_mask is not None):
            return {}
        groups = self.grouping.groups([people], [Prediction(image.shape[:2])])
        views = [view for _, of_heads in groups for view in of_heads[: self.batch_size]]
        return {view.key(size): view.render(image, size) for view in views for size in self.sizes}

    def start(
        self,
        images: list[RGB],
        boxes: Sequence[Boxes],
        first: int = 0,
        rendered: Sequence[Rendered] | None = None,
    ) -> list[Pending]:
        """Pass some images through the networks at once; the rest can be finished in any thread, in any order.

        Args:
            images: RGB uint8 (H, W, 3).
            boxes: Of each, as for `predict`.
            first: Index of the first of them, for messages.
            rendered: Results of `render` for each.
        """
        known = rendered or [{}] * len(images)
        pending = [
            Pending(Prediction(image.shape[:2], heads=self.infos), inputs)
            for image, inputs in zip(images, known, strict=True)
        ]
        predictions = [one.prediction for one in pending]
        people = [
            self._people(first + place, image, boxes[place], predictions[place])
            for place, image in enumerate(images)
        ]
        seen = self._find_people(images, people, predictions)
        for names, views in self.grouping.groups(people, predictions, seen):
            self.runner.start(names, views, images, pending)
        masks = self._start_masks(images, people, pending)
        for one, mask in zip(pending, masks, strict=True):
            one.add(partial(self._complete, one.prediction, mask))
            one.rendered = {}
        return pending

    def _complete(self, prediction: Prediction, mask: Pending | None) -> None:
        prediction.instances.sort(key=lambda one: self.top_down.index(one.head))
        settle_focal(prediction)
        mark_doubts(prediction, dict(self.model.named_heads()), self.person_score)
        if mask is not None:
            found = prediction if mask.prediction is prediction else mask.finish()
            mask_maps(prediction, people_of(found, self.mask_with))

    def _start_masks(
        self,
        images: list[RGB],
        people: list[npt.NDArray[np.float32] | None],
        pending: list[Pending],
    ) -> Sequence[Pending | None]:
        """Return for each image the pending prediction whose mask tells people, or None."""
        if not self.mask_with:
            return [None] * len(images)
        if self.masker is None:
            return pending
        boxes: Sequence[Boxes] = people if self.dense_view == "crop" else [None] * len(images)
        return self.masker.start(images, boxes)

    def _people(
        self, place: int, image: RGB, boxes: Boxes, prediction: Prediction
    ) -> npt.NDArray[np.float32] | None:
        """Return the boxes (N, 5) of an image, or None if they are not known yet."""
        if boxes is None and callable(self.detector) and self.uses_boxes:
            prediction.people_from = "detector"
            return check_boxes(self.detector(image), f"the detector's boxes of image {place}")
        if boxes is None:
            return None
        if not self.uses_boxes and not self._warned:
            self._warned = True
            log.warning(
                "boxes: no head sees people one by one here; dense_view='crop' would make dense heads do so."
            )
        prediction.people_from = "boxes"
        return check_boxes(boxes, f"image {place}")

    def _find_people(
        self, images: list[RGB], people: list[npt.NDArray[np.float32] | None], predictions: list[Prediction]
    ) -> set[int]:
        """Fill in boxes from a mask where there are none; return the images that dense heads have then seen."""
        places = [place for place, boxes in enumerate(people) if boxes is None]
        if self.own_mask is None or not places:
            return set()
        seen = set(places) if self.own_mask.masks is self.runner and self.dense_view == "whole" else set()
        views = [self.grouping.whole(place, predictions[place]) for place in sorted(seen)]
        self.runner.run(self.dense if seen else [], views, images, predictions)
        known = [predictions[place] for place in places] if seen else None
        found = self.own_mask.find([images[place] for place in places], known)
        for place, boxes in zip(places, found, strict=True):
            people[place] = boxes
            predictions[place].people_from = "mask"
        return seen

    @property
    def uses_boxes(self) -> bool:
        """Whether any head sees people one by one."""
        return bool(self.top_down) or self.dense_view == "crop"

    def _find_masker(self, mask_with: str | None, trust: Iterable[str]) -> tuple["Predictor | None", str]:
        """Return the predictor whose mask is used (None for this one), and the name of its head."""
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
                f"mask_with: {model.origin} has {len(able)} heads that tell people from background, expected one."
            )
        other = Predictor(
            model, batch_size=self.batch_size, flip=self.flip, dense_view=self.dense_view, detector=None
        )
        return other, able[0]
