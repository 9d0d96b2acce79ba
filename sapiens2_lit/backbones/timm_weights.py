"""Weights of timm's models: found by name, in a file, a folder or on the hub, and loaded strictly."""

import contextlib
import io
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.checkpoints.lazy_safetensors import Readable, open_weights
from sapiens2_lit.checkpoints.released_names import NOT_BACKBONE, backbone_state
from sapiens2_lit.checkpoints.strict_loading import LoadReport, is_under, load_state
from sapiens2_lit.errors import WeightsError

PRETRAINED = "pretrained"
OWN = "model."  # in front of timm's names in checkpoints of this project
NOT_IN_MAP = {  # leading parts of names
    **NOT_BACKBONE,
    "head.fc": "a classifier",
    "head.pre_logits": "a classifier",
    "head": "a classifier",
    "attn_pool": "pools the map",
    "fc_norm": "follows the pooling",
    "head_drop": "a classifier",
    "mask_token": "used only in pretraining",
}


def hub_id_of(name: str, config: Any) -> str:
    """Return the repository of a model's pretrained weights.

    Raises:
        WeightsError: timm knows none.
    """
    hub_id: str | None = config.hf_hub_id
    if not hub_id:
        raise WeightsError(
            f"weights: found {PRETRAINED!r}, but timm names no repository with weights of {name}; expected a model "
            "with a tag, such as vit_large_patch16_dinov3.lvd1689m, or a file, folder or hub id."
        )
    tag = f".{config.tag}" if config.tag else ""
    return f"{hub_id}{config.architecture or name.partition('.')[0]}{tag}" if hub_id.endswith("/") else hub_id


def load_timm(model: nn.Module, source: str, name: str) -> LoadReport:
    """Load weights strictly into a model of timm, in place.

    If names and shapes are the model's, only the part that this process holds is read. Otherwise timm's converter
    renames the tensors of the first release, and resamples patches and positions.

    Args:
        model: The model.
        source: File, folder or hub id.
        name: Name in timm, for errors.

    Raises:
        WeightsError: The weights are not found, or belong to another model; nothing is loaded then.
    """
    found = open_weights(source)
    tensors: Mapping[str, Readable] = {
        plain: tensor
        for one, tensor in backbone_state(found.tensors).items()
        if not (plain := one.removeprefix(OWN)).startswith(tuple(f"{p}." for p in NOT_BACKBONE))
    }
    if not _fits(model, tensors):
        tensors = _converted(model, tensors, name, found.origin)
    own = nn.Module.state_dict(model)
    ignore = {part: why for part, why in NOT_IN_MAP.items() if not any(is_under(one, part) for one in own)}
    return load_state(model, tensors, source=found.origin, ignore=ignore, chosen_by="name")


def copy_values(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and all buffers, including those that no file holds, between models of one layout, in place."""
    load_state(target, source.state_dict(), source="fresh values")
    held = dict(source.named_buffers())
    for name, buffer in target.named_buffers():
        buffer.copy_(held[name])


def _fits(model: nn.Module, tensors: Mapping[str, Readable]) -> bool:
    own = nn.Module.state_dict(model)
    return all(name in tensors and tensors[name].shape == value.shape for name, value in own.items())


def _converted(
    model: nn.Module, tensors: Mapping[str, Readable], name: str, origin: str
) -> dict[str, Tensor]:
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    whole = {one: t if isinstance(t, Tensor) else t.read(()) for one, t in tensors.items()}
    if convert is None:
        return whole
    try:
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):  # it prints what it misses
            found: dict[str, Tensor] = convert(whole, model)
    except (KeyError, RuntimeError, AssertionError, AttributeError, ValueError) as error:
        raise WeightsError(
            f"{origin}: expected weights of {name}; timm cannot convert it: {error!r}."
        ) from error
    return found
