"""OUT/HEAD/about.json: the weights that made the files of a head, and the meaning of their numbers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sapiens2_lit.atomic_write import write_whole
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.writers.base import Writer

ABOUT = "about.json"
MODEL = "model"  # its key; the others are kinds of results


def write_about(out: Path, writers: Sequence[Writer], prediction: Prediction, model: str | None) -> None:
    """Write the file of each head: the model, and by kind and suffix the meaning of the numbers.

    Args:
        out: Folder of the results.
        writers: Of the run.
        prediction: One of the run's.
        model: Fingerprint of the weights; None leaves it out, and heads whose numbers need no words have no file.
    """
    heads: dict[str, dict[str, Any]] = {}
    for writer in writers:
        if model is not None:
            heads.setdefault(writer.head, {MODEL: model})
        if about := writer.about(prediction):
            heads.setdefault(writer.head, {}).setdefault(writer.kind or writer.key, {})[writer.name] = about
    for head, content in heads.items():
        write_whole(out / head / ABOUT, json.dumps(content, indent=1).encode())


def refuse_other_model(out: Path, writers: Sequence[Writer], model: str | None) -> None:
    """Check that the results which a run resumes are of its weights.

    Args:
        out: Folder of the results.
        writers: Of the run.
        model: Fingerprint of the weights; None if it is unknown.

    Raises:
        SettingError: They are of others.
        DataError: The file that says so cannot be read.
    """
    for head in dict.fromkeys(writer.head for writer in writers):
        path = out / head / ABOUT
        if not path.is_file():
            continue
        try:
            there = json.loads(path.read_text(encoding="utf-8")).get(MODEL)
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        if model is not None and there not in (None, model):
            raise SettingError(
                f"--resume: the results in {path.parent} are of other weights, with the fingerprint {there}; those of "
                f"--model have {model}. Give the model that made them (a run's folder stands for its newest version), "
                "or another --output."
            )
