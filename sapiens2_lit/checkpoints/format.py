"""Checkpoints of this package: what they say beside their tensors, and the whole model out of what they hold.

A checkpoint holds what was trained: the heads, and of the backbone what was not frozen. The rest is the pretrained
backbone, which is found where it was, and verified. Adapters are merged, averages take the place of the weights.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")  # a tensor, read or yet to be read

META = "sapiens2_lit"  # key of what we add to Lightning's checkpoints
CHECKPOINT = "sapiens2_lit.checkpoint"  # key in the header of safetensors: the same as JSON
VOCABULARIES = "vocabularies"  # key of what we add: the names behind the rows of each head's last layer
VOCABULARY = "sapiens2_lit.vocabulary"  # the same of the one head of a task file, in its header
BACKBONE, EMA = "backbone.", "ema."
TEACHERS = "teachers"  # key of what we add: whom a model learned from
META_FILE = "meta.pt"  # what the folder of a sharded run has beside its tensors
TRAINING_ONLY = (EMA, "balancer.", "distillation.")


def is_ours(content: Any) -> bool:
    """Whether a file's content is a checkpoint of a run of ours."""
    return isinstance(content, Mapping) and all(
        isinstance(content.get(key), Mapping) for key in (META, "state_dict")
    )


def average_name(name: str) -> str:
    """Under which name in a checkpoint the average of a parameter stands."""
    return EMA + name.replace(".", "/")


def with_averages(tensors: Mapping[str, T]) -> dict[str, T]:
    """Tensors of a module, where there is an average of one in its place; without averages it changes nothing."""
    return {
        name: tensors.get(average_name(name), tensor)
        for name, tensor in tensors.items()
        if not name.startswith(EMA)
    }
