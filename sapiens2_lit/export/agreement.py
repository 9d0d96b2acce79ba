"""Measure how far apart two frameworks place their results in a picture, in its pixels, from file to result.

Legend: H and W pixels of a picture, C channels, K keypoints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import ExportError
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor

RGB = npt.NDArray[np.uint8]
Box = npt.NDArray[np.float32]
Maps = dict[str, npt.NDArray[Any]]
Predict = Callable[[RGB, Box], Maps]

SHARE = 0.95  # share of a map's pixels that must agree
SAME = 0.02  # share of a map's range; values that differ by less are equal
SHIFT = 0.5  # pixels by which two ways to resize may place a picture differently
LARGER = 1.5  # factor on the picture as the input shows it
SIDES = {
    "landscape": (0.5, 1.0),
    "portrait": (1.0, 0.75),
    "square": (0.0, 0.0),
}  # shares of the input's height and width that the picture fills; 0 stands for the shorter side


@dataclass(frozen=True)
class Agreement:
    """The comparison of one result on one picture.

    Attributes:
        shape: Name of the picture's shape.
        size: (H, W) of the picture.
        key: Of the result, as HEAD.RESULT.
        pixels: Distance between the results, in pixels of the picture.
        limit: Allowed distance, from the path of an image through both frameworks and the stability of the results.
    """

    shape: str
    size: tuple[int, int]
    key: str
    pixels: float
    limit: float


def agreements(model: InferenceModel, theirs: Predict, limit: float) -> list[Agreement]:
    """Compare `predict` with another framework's whole pipeline, on a landscape, a portrait and a square picture.

    Args:
        model: The original.
        theirs: From a picture and the box of a person in it to the results of every head, with keys as in `results_of`.
        limit: Allowed distance of results, in pixels of the network's input.

    Raises:
        ExportError: The export has results that the model does not have.
    """
    ours = Predictor(model, detector=None)
    found = []
    for number, shape in enumerate(SIDES):
        height, width = size = picture_size(shape, model.image_size)
        picture = draw_picture(size, number)
        box = np.array([0.2 * width, 0.15 * height, 0.5 * width, 0.7 * height, 1], dtype=np.float32)
        boxes = box[None] if ours.uses_boxes else None
        expected, answers = results_of(ours.predict(picture, boxes)), theirs(picture, box)
        moved = results_of(ours.predict(shifted(picture), boxes))
        if missing := answers.keys() - expected.keys():
            raise ExportError(f"the export returns {sorted(missing)}, which the model does not return")
        most, allowed = max(size) // 6, limit * input_pixel(size, model)
        for key, answer in answers.items():
            unsure = distance(expected[key], moved[key], most)
            apart = distance(expected[key], answer, most)
            found.append(Agreement(shape, size, key, apart, min(allowed + unsure, most)))
    return found


def picture_size(shape: str, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) of a picture that fills the input only in part, padded by whole pixels, as halves are rounded."""
    shown = [
        round(part * side / 2) * 2 or min(image_size)
        for part, side in zip(SIDES[shape], image_size, strict=True)
    ]
    height, width = (round(LARGER * side) for side in shown)
    return height, width


def shifted(picture: RGB) -> RGB:
    """Return the picture (H, W, 3) moved by half a pixel, as another way to resize might place it.

    The change of a result tells how stable the network is.
    """
    move = np.array([[1, 0, SHIFT], [0, 1, SHIFT]])
    return np.asarray(cv2.warpAffine(picture, move, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def check_agreement(form: str, model: InferenceModel, theirs: Predict, limit: float) -> str:
    """Compare the results, and return a line for the model card.

    Args:
        form: Name of the format, for messages.
        model: The original.
        theirs: As for `agreements`.
        limit: As for `agreements`.

    Raises:
        ExportError: Results are further apart than allowed.
    """
    found = agreements(model, theirs, limit)
    for one in found:
        if not one.pixels <= one.limit:
            raise ExportError(
                f"{form}: on a {one.shape} picture of {one.size[0]} x {one.size[1]} {one.key} lies "
                f"{say(one)} pixels from where `predict` puts it, expected {one.limit:.1f} at most. "
                "Please report it; --check false writes the export nevertheless."
            )
    if not found:
        return "results of custom heads are not compared on pictures"
    largest = max(found, key=lambda one: one.pixels / one.limit)
    return f"on three pictures within {largest.pixels:.2g} pixels of `predict` (limit {largest.limit:.2g})"


def say(one: Agreement) -> str:
    """Return the distance as text."""
    return f"{one.pixels:.1f}" if np.isfinite(one.pixels) else f"more than {max(one.size) // 6}"


def input_pixel(size: tuple[int, int], model: InferenceModel) -> float:
    """Return the longer side of an input pixel, in pixels of a picture that the input shows completely."""
    ratios = [side / own for side, own in zip(size, model.image_size, strict=True)]
    return max(1.0, *ratios)


def draw_picture(size: tuple[int, int], seed: int) -> RGB:
    """Draw RGB uint8 (H, W, 3) without fine detail, which frameworks would resize differently."""
    few = np.random.default_rng(seed).uniform(0, 255, (9, 9, 3)).astype(np.float32)
    large = cv2.resize(few, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large).clip(0, 255).round().astype(np.uint8)


def results_of(prediction: Prediction) -> Maps:
    """Return maps (H, W) or (H, W, C), and keypoints (K, 3) of the first person, by HEAD.RESULT."""
    found = {f"{head}.{key}": value for head, maps in prediction.maps.items() for key, value in maps.items()}
    for person in prediction.instances:
        found.setdefault(f"{person.head}.keypoints", person.keypoints)
    return found


def distance(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], most: int) -> float:
    """Return the distance between two results, in pixels.

    For keypoints it is the median distance. For maps it is the smallest radius within which `ours` has the value of
    `theirs`, for 95 % of the pixels; infinite if there is none, or shapes differ.

    Args:
        ours: (K, 2 or more) keypoints, (H, W) whole numbers, or (H, W) or (H, W, C) numbers.
        theirs: The same.
        most: Largest radius to try.
    """
    if theirs.shape[:2] != ours.shape[:2] and ours.ndim > 1 and not is_points(ours):
        return float("inf")
    if is_points(ours):
        return float(np.median(np.linalg.norm(ours[:, :2] - theirs[:, :2], axis=1)))
    theirs = theirs.reshape(ours.shape)
    agree = classes_agree if np.issubdtype(ours.dtype, np.integer) else values_agree
    radius = 0
    while radius <= most:
        if agree(ours, theirs, radius).mean() >= SHARE:
            return float(radius)
        radius = radius + 1 if radius < 4 else round(radius * 1.5)
    return float("inf")


def is_points(values: npt.NDArray[Any]) -> bool:
    """Return whether an array has the shape of keypoints, (K, 3)."""
    return values.ndim == 2 and values.shape[1] == 3


def classes_agree(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], radius: int) -> npt.NDArray[np.bool_]:
    """Return whether `ours` has the class of `theirs` within a radius of each pixel, (H, W).

    Args:
        ours: (H, W) classes.
        theirs: (H, W) classes.
        radius: In pixels.
    """
    agree = np.zeros(ours.shape, dtype=np.bool_)
    for label in np.unique(theirs):
        near = cv2.dilate((ours == label).astype(np.uint8), window(radius)) > 0
        agree |= near & (theirs == label)
    return agree


def values_agree(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], radius: int) -> npt.NDArray[np.bool_]:
    """Return whether each channel's value lies between the values of `ours` within a radius, (H, W).

    Args:
        ours: (H, W) or (H, W, C).
        theirs: The same shape.
        radius: In pixels.
    """
    agree = np.ones(ours.shape[:2], dtype=np.bool_)
    height, width = ours.shape[:2]
    pairs = zip(
        *(value.reshape(height, width, -1).transpose(2, 0, 1) for value in (ours, theirs)), strict=True
    )
    for own, other in pairs:
        own = np.ascontiguousarray(own, dtype=np.float32)
        low, high = np.percentile(own, (1, 99))
        same = SAME * (high - low) + 1e-3 * float(np.abs(own).max())
        agree &= (other >= cv2.erode(own, window(radius)) - same) & (
            other <= cv2.dilate(own, window(radius)) + same
        )
    return agree


def window(radius: int) -> npt.NDArray[np.uint8]:
    """Return the square of pixels within a radius, (N, N)."""
    return np.ones((2 * radius + 1, 2 * radius + 1), dtype=np.uint8)


def summary(found: list[Agreement]) -> Mapping[str, float]:
    """Return the largest distance of each shape."""
    return {shape: max((one.pixels for one in found if one.shape == shape), default=0.0) for shape in SIDES}
