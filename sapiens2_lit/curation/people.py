"""Find the people in a picture, and whether their heads are visible."""

from typing import Any

import numpy as np

from sapiens2_lit.curation.picture import RGB
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.detect import Detector
from sapiens2_lit.inference.predictor import Predictor

COLUMNS = {
    "people": "int64",
    "person_boxes": "boxes",
    "person_short_side": "double",
    "person_score": "double",
}
HEAD_COLUMNS = {"head_score": "double", "head_visible": "bool"}
HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
VISIBLE = 0.3  # the least keypoint score, as for drawn keypoints
LEAST = 2  # of the five points of a head


class People:
    """Boxes of people, and short side and score of the largest one; with a pose model whether its head is visible.

    Args:
        detector: Finds people; without one, the model's own mask does, or each picture is treated as one person.
        predictor: A model with keypoints of a head (nose, eyes, ears); None for boxes alone.
        about: Names of both, for the scores' header.

    Raises:
        SettingError: The model predicts no such keypoints.
    """

    def __init__(self, detector: Detector | None, predictor: Predictor | None, about: dict[str, Any]) -> None:
        self.detector, self.predictor, self.about = detector, predictor, about
        self.columns = {**COLUMNS, **(HEAD_COLUMNS if predictor is not None else {})}
        self.places: list[int] = []
        if predictor is not None:
            self.head = self._pose_head(predictor)

    def _pose_head(self, predictor: Predictor) -> str:
        for name in predictor.top_down:
            skeleton = predictor.infos[name].skeleton
            names = () if skeleton is None else skeleton.keypoints
            self.places = [place for place, keypoint in enumerate(names) if keypoint in HEAD]
            if len(self.places) >= LEAST:
                return name
        raise SettingError(
            f"--model: predicts no keypoints of a head; expected two or more of {', '.join(HEAD)}"
        )

    def __call__(self, images: list[RGB]) -> list[dict[str, Any]]:
        """Return a row for each picture."""
        return [self._row(image) for image in images]

    def _row(self, image: RGB) -> dict[str, Any]:
        boxes = None if self.detector is None else self.detector(image).astype(np.float32)
        points = None
        if self.predictor is not None and (boxes is None or len(boxes)):
            found = self.predictor.predict(image, boxes)
            people = [one for one in found.instances if one.head == self.head and one.doubt is None]
            if boxes is None:
                boxes = np.array([[*one.box, one.score] for one in people], np.float32).reshape(-1, 5)
                points = [one.keypoints for one in people]
            else:  # found by the detector, so doubts do not matter
                points = [one.keypoints for one in found.instances if one.head == self.head]
        assert boxes is not None, "neither a detector nor a model"
        row: dict[str, Any] = {"people": len(boxes), "person_boxes": np.round(boxes, 3).tolist()}
        if not len(boxes):
            return {**row, **({"head_visible": False} if self.predictor is not None else {})}
        largest = int((boxes[:, 2] * boxes[:, 3]).argmax())
        row["person_short_side"] = float(boxes[largest, 2:4].min())
        row["person_score"] = float(boxes[largest, 4])
        if points is not None:
            scores = points[largest][self.places, 2]
            row["head_score"] = float(scores.mean())
            row["head_visible"] = bool((scores >= VISIBLE).sum() >= LEAST)
        return row
