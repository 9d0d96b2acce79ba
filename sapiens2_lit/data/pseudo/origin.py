"""`pseudo_labels.json`: which model labeled a folder, and how. A folder holds the labels of one model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sapiens2_lit.atomic_write import write_own
from sapiens2_lit.errors import DataError

NAME = "pseudo_labels.json"
SAMPLES = "samples.jsonl"
CONFIDENCES = "confidences"  # folder of confidence maps, by the label's key
VERSION = 1
COMMAND = "sapiens2-lit predict --as_dataset"


@dataclass(frozen=True)
class Origin:
    """The content of `pseudo_labels.json`.

    Attributes:
        teacher: `model` as it was named, `fingerprint` of its weights, `image_size` and `view` of its input.
        settings: of the prediction, by option.
        heads: by name: `label` (the key in batches), `folder` or `file` of the labels, `confidence` (its meaning), and
            `classes` or `keypoints`, the vocabulary.
        date: day on which the folder was begun, UTC, as 2026-01-31.
        finished: whether all pictures are labeled and listed.
        images: their number, when finished.
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
        """Fingerprint of the teacher's weights."""
        return str(self.teacher["fingerprint"])

    def of_label(self, key: str) -> Mapping[str, Any] | None:
        """Return the entry of the head whose labels have a key."""
        return next((head for head in self.heads.values() if head["label"] == key), None)

    def write(self, root: Path) -> None:
        """Write the file; several shards of a run may do so at once, with the same content."""
        content = {"generator": COMMAND, **asdict(self)}
        write_own(root / NAME, (json.dumps(content, indent=1) + "\n").encode())

    def ended(self, images: int) -> "Origin":
        """Return the same origin, marked as finished."""
        return replace(self, finished=True, images=images)


def read_origin(root: Path) -> Origin | None:
    """Return the origin of a folder's labels; None if no model labeled it.

    Raises:
        DataError: the file is not as `predict` wrote it.
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
    """Check that the settings of a datamodule agree with a folder's predicted labels.

    Args:
        root: the folder; one without predicted labels is accepted.
        label: the key of the labels.
        settings: values by name: `frame`, which must be opencv, `unit`, which must be 1, and `relative`.

    Raises:
        DataError: a setting contradicts the labels.
    """
    origin = read_origin(root)
    head = None if origin is None else origin.of_label(label)
    if head is None:
        return
    written = {"frame": "opencv", "unit": 1, "relative": bool(head.get("relative"))}
    for name, found in settings.items():
        if found is not None and found != written[name]:
            raise DataError(
                f"{root / NAME}: the `{label}` labels have {name} {written[name]}, but data.{name} is {found}: set "
                f"it to {str(written[name]).lower()}."
            )


def check_labelled(root: Path) -> None:
    """Check that a folder's predicted labels are finished; a folder without them is accepted.

    Raises:
        DataError: they are not finished.
    """
    origin = read_origin(root)
    if origin is not None and not origin.finished:
        raise DataError(
            f"{root / NAME}: `finished` is false: `{COMMAND}` was stopped, or is still running. To finish, run the "
            "same command with --resume."
        )
