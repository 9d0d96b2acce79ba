"""The format of this package's checkpoints: what they hold besides tensors, and names in them.

A checkpoint holds what was trained: the heads, and the part of the backbone that was not frozen. The rest is the
pretrained backbone, which is read from its original place and verified. For use, adapters are merged and averages
replace the weights.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")  # a tensor, or one that is not read yet

META = "sapiens2_lit"  # key of what this package adds to Lightning's checkpoints
CHECKPOINT = "sapiens2_lit.checkpoint"  # key in the header of safetensors: the same as JSON
VOCABULARIES = "vocabularies"  # key below META: the names of the rows of each head's last layer
VOCABULARY = "sapiens2_lit.vocabulary"  # the same for the one head of a task file, in its header
BACKBONE, EMA = "backbone.", "ema."
TEACHERS = "teachers"  # key below META: the teachers that a model learned from
META_FILE = "meta.pt"  # file in the folder of a sharded run with everything but tensors
TRAINING_ONLY = (EMA, "balancer.", "distillation.")


def is_ours(content: Any) -> bool:
    """Return whether a file's content is a checkpoint of a run of this package."""
    return isinstance(content, Mapping) and all(
        isinstance(content.get(key), Mapping) for key in (META, "state_dict")
    )


def average_name(name: str) -> str:
    """Return the name of a parameter's average in a checkpoint."""
    return EMA + name.replace(".", "/")


def with_averages(tensors: Mapping[str, T]) -> dict[str, T]:
    """Replace the tensors of a module by their averages, if there are any."""
    return {
        name: tensors.get(average_name(name), tensor)
        for name, tensor in tensors.items()
        if not name.startswith(EMA)
    }
