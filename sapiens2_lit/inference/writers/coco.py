"""COCO results: one list for all pictures, for the tools that score it. Written line by line, whatever their number."""

import json
import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, TextIO

import numpy as np
import numpy.typing as npt

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.errors import DataError
from sapiens2_lit.inference.prediction import Instance, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import Writer
from sapiens2_lit.inference.writers.pose import PIXEL_DIGITS, SCORE_DIGITS, people_of, rounded

PERSON = 1  # the category that every COCO file of people has


class CocoResults(Writer):
    """`OUT/HEAD/coco_results.json`, and `coco_images.json` beside it with `id`, `file_name`, `width`, `height`.

    Both appear when all is done. Until then a line a picture lies in `.coco_results.jsonl`, from which `--resume` goes
    on; it stays, so that later runs can add to it.

    Args:
        image_ids: the `image_id` of each file, as in an annotation file; else pictures are numbered from 1.
    """

    name: ClassVar[str] = "coco"
    in_order = True

    def __init__(self, head: str, key: str, image_ids: Mapping[str, int] | None = None) -> None:
        super().__init__(head, key)
        self.image_ids = image_ids
        self.journal: TextIO | None = None
        self.num = 0
        self.done: npt.NDArray[np.uint64] = np.empty(0, np.uint64)

    def start(self, folder: Path, resume: bool) -> None:
        path = self._journal_path(folder)
        with unwritable_is_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if resume and path.is_file():
                _cut_half_line(path)
                names = (_key(entry["name"]) for entry in _read_lines(path))
                self.done = np.sort(np.fromiter(names, np.uint64))
                self.num = len(self.done)
            self.journal = path.open("a" if resume else "w", encoding="utf-8")

    def is_finished(self, name: str, folder: Path) -> bool:
        place = np.searchsorted(self.done, _key(name))
        return bool(place < len(self.done) and self.done[place] == _key(name))

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        if self.is_finished(frame.name, folder):
            return
        height, width = prediction.image_size
        self.num += 1
        people = [_result(person) for person in people_of(prediction, self.head)]
        entry = {
            "name": frame.name,
            "id": self.num if self.image_ids is None else self._given_id(frame),
            "file_name": frame.file if frame.video is None else frame.name,
            "width": width,
            "height": height,
            "people": people,
        }
        assert self.journal is not None
        with unwritable_is_error(self._journal_path(folder)):
            self.journal.write(json.dumps(entry, allow_nan=False) + "\n")
            self.journal.flush()

    def close(self, folder: Path) -> None:
        """Write both lists."""
        self.abort()
        path = self._journal_path(folder)
        results = (
            {"image_id": entry["id"], "category_id": PERSON, **person}
            for entry in _read_lines(path)
            for person in entry["people"]
        )
        images = (
            {key: entry[key] for key in ("id", "file_name", "width", "height")} for entry in _read_lines(path)
        )
        _write_list(folder / self.head / "coco_images.json", images)
        _write_list(folder / self.head / "coco_results.json", results)

    def abort(self) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"unit": "pixels of the image", "category_id": PERSON, "keypoints": "x, y, score"}

    def _given_id(self, frame: Frame) -> int:
        assert self.image_ids is not None
        if frame.file not in self.image_ids:
            raise DataError(
                f"{frame.file}: the file with `images` has no such `file_name`, so it has no `image_id`."
            )
        return self.image_ids[frame.file]

    def _journal_path(self, folder: Path) -> Path:
        return folder / self.head / ".coco_results.jsonl"


def _result(person: Instance) -> dict[str, Any]:
    finite = np.isfinite(person.keypoints).all(axis=1, keepdims=True)
    points = np.where(finite, person.keypoints, 0).astype(np.float64)  # COCO's way to say: not there
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


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _cut_half_line(path: Path) -> None:
    """Drop what a kill left of the last line."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            file.seek(end - 1)
            if file.read(1) == b"\n":
                break
            end -= 1
        file.truncate(end)


def _key(name: str) -> np.uint64:
    """Eight bytes for a name: a million of them take 8 MB."""
    return np.uint64(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big"))
