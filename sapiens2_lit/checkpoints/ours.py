"""Checkpoints of this package: what they say beside their tensors, and the whole model out of what they hold.

A checkpoint holds what was trained: the heads, and of the backbone what was not frozen. The rest is the pretrained
backbone, which is found where it was, and verified. Adapters are merged, averages take the place of the weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sapiens2_lit.checkpoints.hub import is_released
from sapiens2_lit.checkpoints.identity import candidates, check_identity
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.lora import LoRA, merge_state

META = "sapiens2_lit"  # key of what we add to Lightning's checkpoints
BACKBONE, EMA = "backbone.", "ema."
TRAINING_ONLY = (EMA, "balancer.")


def is_ours(content: Any) -> bool:
    """Whether a file's content is a checkpoint of a run of ours."""
    return isinstance(content, Mapping) and all(
        isinstance(content.get(key), Mapping) for key in (META, "state_dict")
    )


def average_name(name: str) -> str:
    """Under which name in a checkpoint the average of a parameter stands."""
    return EMA + name.replace(".", "/")


def with_averages(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a module, where there is an average of one in its place; without averages it changes nothing."""
    return {
        name: tensors.get(average_name(name), tensor)
        for name, tensor in tensors.items()
        if not name.startswith(EMA)
    }


def complete(content: Mapping[str, Any], file: Path, *, ema: bool, backbone: str | None) -> dict[str, Tensor]:
    """The tensors `backbone.*` and `heads.NAME.*` of a whole, plain model.

    Args:
        content: of the checkpoint.
        file: it came from, for messages.
        ema: take the averages, where there are any.
        backbone: where to find the pretrained backbone, if not where it was.

    Raises:
        WeightsError: the backbone that it belongs to is not found, or is another one.
    """
    meta, tensors = content[META], dict(content["state_dict"])
    if ema:
        tensors = with_averages(tensors)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(TRAINING_ONLY)}
    if identity := meta.get("backbone"):
        found = find_backbone(identity, file, backbone)
        tensors = {BACKBONE + name: found[name] for name in identity["names"]} | tensors
    adapt = meta.get("adapt")
    if adapt and adapt["mode"] == "lora":
        tensors = merge_state(tensors, LoRA(**adapt["lora"]).scale)
    return tensors


def find_backbone(identity: Mapping[str, Any], file: Path, given: str | None) -> dict[str, Tensor]:
    """The tensors of the pretrained backbone, names without `backbone.`, verified."""
    from sapiens2_lit.checkpoints.reader import read_weights  # which reads checkpoints by way of this file
    from sapiens2_lit.checkpoints.tasks import backbone_state

    failures = []
    for place in candidates(dict(identity), [given]):
        try:
            found = read_weights(place, download=place == given or is_released(place))
        except WeightsError as error:
            failures.append(str(error))
            continue
        tensors = backbone_state(found.tensors)
        check_identity(dict(identity), tensors, found.origin, str(file))
        return tensors
    raise WeightsError(
        f"{file}: it holds only what was trained; the pretrained backbone that it belongs to was not found, give its "
        "file, folder or hub id as backbone weights.\n  " + "\n  ".join(failures)
    )
