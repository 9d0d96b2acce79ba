"""Write the list of all labeled pictures, the split and the origin, which make a folder a dataset."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sapiens2_lit.atomic_write import remove_leftovers, unwritable_is_error, whole_file, write_own
from sapiens2_lit.data.pseudo.origin import NAME, SAMPLES, Origin
from sapiens2_lit.data.pseudo.samples import hash_of
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import RunWriter
from sapiens2_lit.inference.writers.dataset.maps import confidence_map
from sapiens2_lit.inference.writers.dataset.people import point_scores
from sapiens2_lit.inference.writers.dataset.pictures import picture_name
from sapiens2_lit.inference.writers.journal import read_lines

SPLIT = "splits/train.txt"
_DIGITS = 4


class SampleList(RunWriter):
    """DIR/samples.jsonl, DIR/splits/train.txt and DIR/pseudo_labels.json; the last of a run's writers.

    Args:
        origin: Content of pseudo_labels.json.
        files: The pictures by the name of their results.
    """

    name = "samples"
    frames = False

    def __init__(self, origin: Origin, files: Mapping[str, Path]) -> None:
        super().__init__("", "samples")
        self.origin = origin
        self.files = files
        self._begun = False

    def journal_of(self, folder: Path) -> Path:
        return folder / f".{SAMPLES}"

    def prepare(self, prediction: Prediction, frame: Frame) -> dict[str, Any]:
        file = self.files[frame.name]
        return {
            "name": frame.name,
            "image": picture_name(frame.name, file),
            "bytes": file.stat().st_size,
            "sha256": hash_of(file),
            "confidence": {
                name: mean_confidence(prediction, name, head["label"])
                for name, head in self.origin.heads.items()
            },
        }

    def write_prepared(self, prepared: Any, prediction: Prediction, frame: Frame, folder: Path) -> None:
        if self.is_finished(frame.name, folder):
            return
        if not self._begun:
            self._begun = True
            self.origin.write(folder)  # marked as not finished
        self.journal.add(prepared)

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        self.write_prepared(self.prepare(prediction, frame), prediction, frame, folder)

    def make_whole(self, folder: Path) -> None:
        """Write all three files."""
        lines, count = self.journal_of(folder), 0
        path, split = folder / SAMPLES, folder / SPLIT
        with (
            unwritable_is_error(path),
            whole_file(path) as one,
            whole_file(split) as other,
            one.open("w", encoding="utf-8") as samples,
            other.open("w", encoding="utf-8") as names,
        ):
            for count, entry in enumerate(read_lines(lines), start=1):  # noqa: B007 - the last one is used
                samples.write(json.dumps(entry) + "\n")
                names.write(entry["name"] + "\n")
        self.origin.ended(count).write(folder)
        remove_leftovers(folder / NAME)


def mean_confidence(prediction: Prediction, head: str, label: str) -> float | None:
    """Return the mean over labeled pixels, or over the points of all people; None if there are none.

    Args:
        prediction: Of one picture.
        head: Name of the head.
        label: Of the head.
    """
    if label == "keypoints":
        people = [one for one in prediction.instances if one.head == head and one.doubt is None]
        return round(float(np.mean([point_scores(one) for one in people])), _DIGITS) if people else None
    values = confidence_map(prediction, head, label)
    there = values > 0
    return round(float(values[there].mean()), _DIGITS) if there.any() else None


def write_vocabularies(folder: Path, vocabularies: Mapping[str, dict[str, Any]]) -> None:
    """Write DIR/skeleton.json and DIR/classes.json, which the training command names."""
    for name, content in vocabularies.items():
        write_own(folder / f"{name}.json", (json.dumps(content, indent=1) + "\n").encode())
