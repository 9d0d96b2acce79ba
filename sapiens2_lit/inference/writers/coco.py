"""Write COCO results, one list for all pictures, line by line, for evaluation tools."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.errors import DataError
from sapiens2_lit.inference.prediction import Instance, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import RunWriter
from sapiens2_lit.inference.writers.journal import read_lines
from sapiens2_lit.inference.writers.pose import PIXEL_DIGITS, SCORE_DIGITS, people_of, rounded

PERSON = 1  # the category of people in COCO


class CocoResults(RunWriter):
    """`OUT/HEAD/coco_results.json`, and beside it `coco_images.json` with `id`, `file_name`, `width`, `height`.

    Both appear at the end of the run. Until then `.coco_results.jsonl` has a line for each picture, from which
    `--resume` continues; it is kept, so that later runs can add to it.

    Args:
        head: Name of the head.
        key: Of the result.
        image_ids: The `image_id` of each file, from an annotation file; None numbers pictures from 1.
    """

    name: ClassVar[str] = "coco"

    def __init__(self, head: str, key: str, image_ids: Mapping[str, int] | None = None) -> None:
        super().__init__(head, key)
        self.image_ids = image_ids
        self.numbered = image_ids is None

    def journal_of(self, folder: Path) -> Path:
        return folder / self.head / ".coco_results.jsonl"

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        if self.is_finished(frame.name, folder):
            return
        height, width = prediction.image_size
        people = [_result(person) for person in people_of(prediction, self.head)]
        entry = {
            "name": frame.name,
            "id": self.journal.num + 1 if self.image_ids is None else self._given_id(frame),
            "file_name": frame.file if frame.video is None else frame.name,
            "width": width,
            "height": height,
            "people": people,
        }
        self.journal.add(entry)

    def make_whole(self, folder: Path) -> None:
        """Write both lists."""
        path = self.journal_of(folder)
        results = (
            {"image_id": entry["id"], "category_id": PERSON, **person}
            for entry in read_lines(path)
            for person in entry["people"]
        )
        images = (
            {key: entry[key] for key in ("id", "file_name", "width", "height")} for entry in read_lines(path)
        )
        _write_list(folder / self.head / "coco_images.json", images)
        _write_list(folder / self.head / "coco_results.json", results)

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"unit": "pixels of the image", "category_id": PERSON, "keypoints": "x, y, score"}

    def _given_id(self, frame: Frame) -> int:
        assert self.image_ids is not None
        if frame.file not in self.image_ids:
            raise DataError(
                f"{frame.file}: the file with `images` has no such `file_name`, so it has no `image_id`."
            )
        return self.image_ids[frame.file]


def _result(person: Instance) -> dict[str, Any]:
    finite = np.isfinite(person.keypoints).all(axis=1, keepdims=True)
    points = np.where(finite, person.keypoints, 0).astype(np.float64)  # COCO's values for a missing point
    flat = np.round(points, PIXEL_DIGITS).ravel()
    flat[2::3] = np.round(points[:, 2], SCORE_DIGITS)
    return {
        "keypoints": flat.tolist(),
        "score": rounded(person.score, SCORE_DIGITS),
        "bbox": [rounded(value, PIXEL_DIGITS) for value in person.box.tolist()],
    }


def _write_list(path: Path, entries: Iterator[dict[str, Any]]) -> None:
    with (
        unwritable_is_error(path),
        whole_file(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        file.write("[")
        for place, entry in enumerate(entries):
            file.write(",\n" if place else "\n")
            file.write(json.dumps(entry))
        file.write("\n]\n")
