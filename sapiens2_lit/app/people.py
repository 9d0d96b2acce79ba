"""Get the people in a picture in the way that the visitor chooses."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import DataError

RGB = npt.NDArray[np.uint8]
Find = Callable[[RGB], npt.NDArray[np.floating]]

AUTO, DRAWN, WHOLE, DETECTOR = "found by the model", "boxes I draw", "the whole picture", "detector"


def choices(detector: Find | None) -> list[str]:
    """Return the ways to find people."""
    return [AUTO, *([DETECTOR] if detector is not None else []), DRAWN, WHOLE]


def boxes_of(
    way: str, drawn: str | None, image: RGB, detector: Find | None
) -> npt.NDArray[np.floating] | None:
    """Return boxes (N, 4 or 5) for `Predictor.predict`; None to let the model find people.

    Args:
        way: One of `choices`.
        drawn: JSON of boxes [[x, y, width, height], ...] in pixels of the image.
        image: RGB uint8 (H, W, 3).
        detector: Of people, for `DETECTOR`.

    Raises:
        DataError: No box was drawn, or the boxes are invalid.
    """
    if way == WHOLE:
        return np.array([[0, 0, image.shape[1], image.shape[0]]], dtype=np.float32)
    if way == DETECTOR and detector is not None:
        return detector(image)
    if way != DRAWN:
        return None
    try:
        found: Any = json.loads(drawn or "[]")
        boxes = np.asarray(found, dtype=np.float32).reshape(-1, 4)
    except (ValueError, TypeError) as error:
        raise DataError(f"boxes: found {drawn!r}, expected [[x, y, width, height], ...]") from error
    if not len(boxes):
        raise DataError("boxes: none is drawn; drag a rectangle around each person first.")
    return boxes
