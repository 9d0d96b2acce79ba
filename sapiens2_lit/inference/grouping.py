"""Decide which heads see which views of which images."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.views import View, crop_view, whole_view

Group = tuple[list[str], list[View]]


@dataclass(frozen=True)
class Grouping:
    """The assignment of a model's heads to views.

    Attributes:
        model: Backbone and heads.
        top_down: Names of the heads that see people one by one.
        dense: Names of all others.
        crop_dense: Whether dense heads see people one by one, too.
        padding: Factor on the sides of people's boxes.
    """

    model: InferenceModel
    top_down: list[str]
    dense: list[str]
    crop_dense: bool
    padding: float

    def groups(
        self,
        people: Sequence[npt.NDArray[np.float32] | None],
        predictions: Sequence[Prediction],
        seen: Collection[int] = (),
    ) -> list[Group]:
        """Return groups of heads with their views; each group is one pass of the backbone over its views.

        Args:
            people: For each image the boxes (N, 5), or None for the whole image.
            predictions: Of the images.
            seen: Images whose whole view has already been predicted on.
        """
        on_crops = [*self.top_down, *(self.dense if self.crop_dense else [])]
        on_wholes = [name for name in self.dense if name not in on_crops]
        crops: list[View] = []
        wholes: list[View] = []
        shared: list[View] = []  # all heads see the whole image
        size = self.model.image_size
        # people are never stretched
        apart = self.model.view == "stretch" and bool(on_crops) and bool(on_wholes)
        for place, (boxes, prediction) in enumerate(zip(people, predictions, strict=True)):
            image_size = prediction.image_size
            if boxes is None and not apart:
                shared.append(self.whole(place, prediction, as_person=not self.dense))
                continue
            if boxes is None:
                crops.append(whole_view(place, image_size, size, as_person=True))
            else:
                crops += [crop_view(place, image_size, size, box, self.padding) for box in boxes]
            if place not in seen:
                wholes.append(self.whole(place, prediction))
        groups = [(on_crops, crops), (on_wholes, wholes), ([*self.top_down, *self.dense], shared)]
        return [(names, views) for names, views in groups if names and views]

    def whole(self, place: int, prediction: Prediction, as_person: bool = False) -> View:
        """Return the view of a whole image, shown as in training.

        Args:
            place: Of the image in its batch.
            prediction: Of the image.
            as_person: Whether to place it like the crop around a person who fills the image.
        """
        size, view = prediction.image_size, self.model.view
        return whole_view(place, size, self.model.image_size, as_person=as_person, view=view)
