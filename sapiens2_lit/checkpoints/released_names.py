"""Translate names between released task files (`backbone.`, `decode_head.`) and modules (`backbone.`, `heads.*.`)."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from sapiens2_lit.errors import WeightsError

T = TypeVar("T")  # a tensor, or one that is not read yet

# What a task file, or a checkpoint of this package, holds besides the backbone.
NOT_BACKBONE = {
    "decode_head": "a task head; only the backbone is loaded",
    "heads": "a task head; only the backbone is loaded",
    "teacher": "the teacher of a pretraining; the student's backbone is loaded",
    "center": "the center of a teacher's outputs; only the backbone is loaded",
}


def backbone_state(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return the tensors without the prefix `backbone.`; names without it stay unchanged."""
    return {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}


def task_state(tensors: Mapping[str, T], head: str) -> dict[str, T]:
    """Return a released task file in this package's names.

    The head becomes `heads.HEAD.`, and a bare backbone gets its prefix.
    """
    bare = not any(name.startswith("backbone.") for name in tensors)
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith("decode_head."):
            renamed[f"heads.{head}.{name.removeprefix('decode_head.')}"] = tensor
        elif bare and not name.startswith("heads."):
            renamed[f"backbone.{name}"] = tensor
        else:
            renamed[name] = tensor
    return renamed


def released_state(tensors: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    """Return the backbone and the head called `head` in released names; other heads are left out.

    Raises:
        WeightsError: There is no such head, or a tensor belongs neither to a backbone nor to a head.
    """
    heads = sorted({name.split(".")[1] for name in tensors if name.startswith("heads.")})
    if head not in heads:
        raise WeightsError(
            f"head: found {head!r}, expected one of those present: {', '.join(heads) or 'none'}."
        )
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(f"heads.{head}.losses."):
            continue  # what a loss has counted in the data is not a weight
        if name.startswith(f"heads.{head}."):
            renamed[f"decode_head.{name.removeprefix(f'heads.{head}.')}"] = tensor
        elif name.startswith("backbone."):
            renamed[name] = tensor
        elif not name.startswith("heads."):
            raise WeightsError(
                f"weights: found the tensor {name!r}, expected `backbone.` or `heads.NAME.` in front."
            )
    return renamed
