"""Predict on images in Python: numpy in, numpy out, in the original image's pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.prediction import HeadInfo, Instance, Prediction

__all__ = ["HeadInfo", "Instance", "Prediction", "Predictor"]

Image = Any  # RGB uint8 (H, W, 3), a PIL image, or a path
Boxes = npt.NDArray[np.floating] | None


class Predictor:
    """One model and how it is used; made by `sapiens2_lit.load`."""

    def __init__(self, model: InferenceModel) -> None:
        self.model = model

    def predict(
        self, image: Image | Sequence[Image], boxes: Boxes | Sequence[Boxes] = None
    ) -> Prediction | list[Prediction]:
        raise NotImplementedError


def load(source: str | Path, **options: Any) -> Predictor:
    raise NotImplementedError
