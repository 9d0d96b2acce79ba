"""Write people as COCO keypoints with the score of every point."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.inference.prediction import Instance, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import RunWriter
from sapiens2_lit.inference.writers.dataset.pictures import picture_name
from sapiens2_lit.inference.writers.journal import read_lines
from sapiens2_lit.inference.writers.pose import PIXEL_DIGITS, SCORE_DIGITS, people_of, rounded
from sapiens2_lit.vocabularies import Skeleton

FILE = "annotations/train.json"
PERSON = 1


class People(RunWriter):
    """DIR/annotations/train.json: COCO keypoints, with `keypoint_scores` (K,) and `score` of each person.

    A point is labeled, v = 2, if its score reaches the head's `draw_threshold` and it lies in the picture; other points
    are
    0, 0, 0 with their score. People who are doubtful, or without a labeled point, are left out.

    Args:
        head: Name of the head.
        skeleton: Its vocabulary.
        threshold: Least score of a labeled point.
        files: The pictures by the name of their results.
    """

    name = "coco"
    frames = False
    numbered = True

    def __init__(self, head: str, skeleton: Skeleton, threshold: float, files: Mapping[str, Path]) -> None:
        super().__init__(head, "keypoints")
        self.skeleton = skeleton
        self.threshold = threshold
        self.files = files

    def journal_of(self, folder: Path) -> Path:
        return folder / "annotations" / ".train.jsonl"

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        if self.is_finished(frame.name, folder):
            return
        height, width = prediction.image_size
        described = (
            annotation_of(person, self.threshold, height, width)
            for person in people_of(prediction, self.head)
            if person.doubt is None
        )
        entry = {
            "name": frame.name,
            "id": self.journal.num + 1,
            "file_name": picture_name(frame.name, self.files[frame.name]),
            "width": width,
            "height": height,
            "people": [one for one in described if one is not None],
        }
        self.journal.add(entry)

    def make_whole(self, folder: Path) -> None:
        """Write the file, line by line."""
        lines = self.journal_of(folder)
        category = {
            "id": PERSON,
            "name": "person",
            "keypoints": list(self.skeleton.keypoints),
            "skeleton": [[first + 1, second + 1] for first, second in self.skeleton.links],
        }
        images = (
            {key: entry[key] for key in ("id", "file_name", "width", "height")} for entry in read_lines(lines)
        )
        path = folder / FILE
        with (
            unwritable_is_error(path),
            whole_file(path) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            file.write('{"categories": ' + json.dumps([category]))
            for key, entries in (("images", images), ("annotations", annotations_of(lines))):
                file.write(f',\n"{key}": [')
                for place, entry in enumerate(entries):
                    file.write((",\n" if place else "\n") + json.dumps(entry, allow_nan=False))
                file.write("\n]")
            file.write("}\n")


def annotations_of(lines: Path) -> Iterator[dict[str, Any]]:
    """Yield the people of a journal, numbered from 1."""
    number = 0
    for entry in read_lines(lines):
        for person in entry["people"]:
            number += 1
            yield {"id": number, "image_id": entry["id"], "category_id": PERSON, "iscrowd": 0, **person}


def annotation_of(person: Instance, threshold: float, height: int, width: int) -> dict[str, Any] | None:
    """Return a person as a COCO annotation; None if no point is labeled.

    Args:
        person: With keypoints (K, 3).
        threshold: Least score of a labeled point.
        height: Of the picture.
        width: Of the picture.
    """
    points, scores = person.keypoints[:, :2].astype(np.float64), point_scores(person)
    x, y = points.T
    with np.errstate(invalid="ignore"):
        seen = (scores >= threshold) & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    left, top, wide, high = person.box.astype(np.float64)
    right, bottom = min(left + wide, width), min(top + high, height)
    left, top = max(left, 0.0), max(top, 0.0)
    if not seen.any() or right <= left or bottom <= top:
        return None
    box = [rounded(value, PIXEL_DIGITS) for value in (left, top, right - left, bottom - top)]
    table = np.where(seen[:, None], np.round(np.column_stack([points, np.full(len(points), 2.0)]), 3), 0)
    return {
        "bbox": box,
        "area": rounded((right - left) * (bottom - top), PIXEL_DIGITS),
        "score": rounded(person.score, SCORE_DIGITS),
        "num_keypoints": int(seen.sum()),
        "keypoints": table.ravel().tolist(),
        "keypoint_scores": np.round(scores, SCORE_DIGITS).tolist(),
    }


def point_scores(person: Instance) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the heatmaps' peaks (K,), 0..1; 0 where a point is not finite."""
    finite = np.isfinite(person.keypoints).all(axis=1)
    return np.where(finite, np.clip(person.keypoints[:, 2].astype(np.float64), 0, 1), 0)
