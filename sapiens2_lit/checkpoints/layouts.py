"""Rename tensors of any layout to this package's names, which are the released ones, and find a head's task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors import safe_open

from sapiens2_lit.checkpoints.format import VOCABULARY
from sapiens2_lit.checkpoints.hf_config import class_names, read_config
from sapiens2_lit.checkpoints.sapiens1_names import from_v1, is_v1_task
from sapiens2_lit.checkpoints.transformers_names import detect_layout, join_rows, to_released
from sapiens2_lit.vocabularies.tasks import TASKS

Layout = Literal["released", "transformers", "sapiens1"]


def in_our_names(
    tensors: Mapping[str, Any], file: Path, task: str | None, join: Callable[[Any, Any], Any] = join_rows
) -> tuple[dict[str, Any], Layout]:
    """Return tensors by their released names, and the layout that they had.

    Args:
        tensors: Tensors, read or not read yet.
        file: The file that they came from; a config.json beside it may name the task.
        task: See `read_weights`.
        join: See `to_released`.
    """
    if is_v1_task(tensors):
        return from_v1(tensors, task or v1_task(tensors, file)), "sapiens1"
    if detect_layout(tensors) == "transformers":
        return to_released(tensors, task=task or task_beside(file), join=join), "transformers"
    return dict(tensors), "released"


def v1_task(tensors: Mapping[str, Any], file: Path) -> str | None:
    """Return the task of a head in the layout of Sapiens v1, if something besides its shapes tells it."""
    last = tensors.get("decode_head.conv_seg.weight")
    if last is None:
        return None
    if (said := read_config(file).get("task")) in ("seg", "depth", "normal"):
        return str(said)
    named = class_names(file, last.shape[0]) is not None
    return "seg" if named or (file.suffix == ".safetensors" and "classes" in _vocabulary_in(file)) else None


def _vocabulary_in(file: Path) -> str:
    """Return the vocabulary that `take_head` wrote into the header of safetensors, as JSON; empty for other files."""
    with safe_open(file, framework="pt") as opened:
        return str((opened.metadata() or {}).get(VOCABULARY, ""))


def task_beside(file: Path) -> str | None:
    """Return the task that the config.json beside a file names, if any."""
    architectures = read_config(file).get("architectures") or []
    return next((task for task, row in TASKS.items() if row.transformers in architectures), None)
