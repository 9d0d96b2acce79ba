"""`pseudo_labels.json`: which model has labelled a folder, and how. A folder holds the labels of one model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sapiens2_lit.atomic_write import write_own
from sapiens2_lit.errors import DataError

NAME = "pseudo_labels.json"
SAMPLES = "samples.jsonl"
CONFIDENCES = "confidences"  # folder of maps, by the label's key
VERSION = 1
COMMAND = "sapiens2-lit predict --as_dataset"


@dataclass(frozen=True)
class Origin:
    """What `pseudo_labels.json` says.

    Attributes:
        teacher: `model` as it was named, `fingerprint` of its weights, `image_size` and `view` of its input.
        settings: of the prediction, by option.
        heads: by name `label` (the key in batches), `folder` or `file` of the labels, `confidence` (what that is), and
            `classes` or `keypoints`, the vocabulary.
        date: day on which the folder was begun, UTC, as 2026-01-31.
        finished: all pictures are labelled and listed.
        images: how many, when finished.
    """

    teacher: Mapping[str, Any]
    settings: Mapping[str, Any]
    heads: Mapping[str, Mapping[str, Any]]
    date: str
    finished: bool = False
    images: int = 0
    version: int = field(default=VERSION)

    @property
    def fingerprint(self) -> str:
        return str(self.teacher["fingerprint"])

    def of_label(self, key: str) -> Mapping[str, Any] | None:
        """Return what is said of the head whose labels have a key."""
        return next((head for head in self.heads.values() if head["label"] == key), None)

    def write(self, root: Path) -> None:
        """Write it; shards of a run may do so at once, and write the same."""
        content = {"generator": COMMAND, **asdict(self)}
        write_own(root / NAME, (json.dumps(content, indent=1) + "\n").encode())

    def ended(self, images: int) -> "Origin":
        """Return the same, finished."""
        return replace(self, finished=True, images=images)


def read_origin(root: Path) -> Origin | None:
    """Where the labels of a folder come from; None of folders that no model has labelled.

    Raises:
        DataError: the file is not what `predict` wrote.
    """
    path = root / NAME
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        assert data.pop("generator") == COMMAND
        origin = Origin(**data)
        named = {head["label"]: head["confidence"] for head in origin.heads.values()}
        if origin.version != VERSION or not origin.fingerprint or not all(named):
            raise DataError(f"{path}: `version` is {origin.version!r}, expected {VERSION}: predict again.")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise DataError(
            f"{path} is not what `{COMMAND}` wrote ({type(error).__name__}: {error}): predict again into a new folder."
        ) from error
    return origin


def expect_as_written(root: Path, label: str, **settings: Any) -> None:
    """Raise DataError where settings of a datamodule contradict how a folder's pseudo-labels are written.

    Args:
        root: the folder; of one that no model has labelled nothing is said.
        label: the key of the labels.
        settings: found values by name: `frame`, which is opencv here, `unit`, which is 1, and `relative`.
    """
    origin = read_origin(root)
    head = None if origin is None else origin.of_label(label)
    if head is None:
        return
    written = {"frame": "opencv", "unit": 1, "relative": bool(head.get("relative"))}
    for name, found in settings.items():
        if found is not None and found != written[name]:
            raise DataError(
                f"{root / NAME}: the `{label}` labels are of {name} {written[name]}, but data.{name} is {found}: set "
                f"it to {str(written[name]).lower()}."
            )


def check_labelled(root: Path) -> None:
    """Raise DataError where a folder's pseudo-labels are still to be finished; of another folder nothing is said."""
    origin = read_origin(root)
    if origin is not None and not origin.finished:
        raise DataError(
            f"{root / NAME}: `finished` is false: `{COMMAND}` was stopped here, or is still at work. Finish it: the "
            "same command with --resume goes on where it stopped."
        )
