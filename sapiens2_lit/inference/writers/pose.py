"""Write people and their keypoints, by name."""

import json
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.prediction import Instance, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import BytesWriter

PIXEL_DIGITS, SCORE_DIGITS = 3, 5


class PoseJson(BytesWriter):
    """One object for each picture: its file, and its people with keypoints by name.

    `{"file", "width", "height", "time", "skeleton", "people_from", "people": [{"id", "score", "doubt", "box": [x, y,
    width, height], "keypoints": {NAME: [x, y, score]}}]}`; for `people_from` and `doubt` see `Prediction` and
    `Instance`.
    Pixels are rounded to 0.001, scores to 0.00001; numbers that are not finite are null. Without people the list is
    empty.
    """

    name: ClassVar[str] = "json"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        height, width = prediction.image_size
        info = prediction.heads.get(self.head)
        skeleton = info.skeleton if info is not None else None
        people = people_of(prediction, self.head)
        described = {
            "file": frame.file,
            "width": width,
            "height": height,
            "time": frame.time,
            "skeleton": skeleton.name if skeleton is not None else None,
            "people_from": prediction.people_from,
            "people": [
                describe(person, skeleton.keypoints if skeleton is not None else None) for person in people
            ],
        }
        return json.dumps(described, allow_nan=False).encode()

    def about(self, prediction: Prediction) -> dict[str, Any]:
        info = prediction.heads.get(self.head)
        if info is None or info.skeleton is None:
            return {"unit": "pixels of the image"}
        links = [[info.skeleton.keypoints[index] for index in link] for link in info.skeleton.links]
        return {"unit": "pixels of the image", "keypoints": list(info.skeleton.keypoints), "links": links}


def people_of(prediction: Prediction, head: str) -> list[Instance]:
    """Return the people that a head predicts."""
    return [person for person in prediction.instances if person.head == head]


def describe(person: Instance, names: tuple[str, ...] | None) -> dict[str, Any]:
    """Return one person as JSON; without names, keypoints go by their numbers."""
    points = rounded_keypoints(person.keypoints)
    names = names or tuple(map(str, range(len(points))))
    return {
        "id": person.id,
        "score": rounded(person.score, SCORE_DIGITS),
        "doubt": person.doubt,
        "box": [rounded(value, PIXEL_DIGITS) for value in person.box.tolist()],
        "keypoints": dict(zip(names, points, strict=True)),
    }


def rounded_keypoints(keypoints: npt.NDArray[np.floating]) -> list[list[float | None]]:
    """Return keypoints (K, 3) as lists of x, y, score."""
    digits = (PIXEL_DIGITS, PIXEL_DIGITS, SCORE_DIGITS)
    rows = keypoints.tolist()
    return [[rounded(value, places) for value, places in zip(row, digits, strict=True)] for row in rows]


def rounded(value: float, digits: int) -> float | None:
    """Return a rounded number; None if it is not finite, since JSON has neither NaN nor infinity."""
    return round(float(value), digits) if np.isfinite(value) else None
