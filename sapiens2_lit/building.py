"""From factories to networks, and whole models from files into them."""

import logging
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints import load_state, open_weights, task_state
from sapiens2_lit.checkpoints.sharded import Readable
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.parallel.fresh import drawn_for, fresh_values
from sapiens2_lit.parallel.sharding import Sharding

log = logging.getLogger(__name__)


def build(
    make_backbone: Callable[[], Backbone],
    make_heads: Mapping[str, Callable[[int], Head]],
    pretrained: bool,
    sharding: Sharding | None = None,
) -> tuple[Backbone, dict[str, Head]]:
    """The backbone, and the heads on its width, whose fresh values depend on the run's seed and their names alone.

    Without `pretrained` the backbone's own weights are not read: a checkpoint or a task file will bring them. With
    `sharding` every rank holds its part of each: the backbone comes from the meta device, heads are made whole, one
    after the other.
    """
    if sharding is None and pretrained:
        with drawn_for("backbone"):
            backbone = make_backbone()
    else:
        with torch.device("meta"):
            backbone = make_backbone()
    heads = {}
    for name, make in make_heads.items():
        with drawn_for(f"heads.{name}"):
            heads[name] = make(backbone.embed_dim)
        if sharding is not None:
            sharding.shard(heads[name])
    if sharding is not None:
        sharding.shard_backbone(backbone)
        sharding.materialize(backbone)
    elif not pretrained:
        backbone.to_empty(device=torch.empty(0).device)
    if sharding is not None or not pretrained:
        from_file = pretrained and backbone.weights is not None
        with drawn_for("backbone"):
            fresh_values(backbone, draw=not from_file)
        if from_file:
            backbone.load_weights()
    return backbone, heads


def load_task_file(module: nn.Module, source: str, heads: list[str], reinitialize: tuple[str, ...]) -> None:
    """Load a released task file, or weights of ours, strictly into a module with `backbone` and `heads`.

    Raises:
        SettingError: a released file has one head, and here are several.
        WeightsError: the file is not found, or does not fit outside `reinitialize`.
    """
    found = open_weights(source)
    released = any(name.startswith("decode_head.") for name in found.tensors)
    if released and len(heads) != 1:
        raise SettingError(
            f"model.weights: {found.origin} is a task file with one head, here are {len(heads)} "
            f"({', '.join(heads)}); load the backbone alone by model.backbone.weights"
        )
    tensors: Mapping[str, Readable] = found.tensors
    if released:  # without what a loss has counted in the data
        own: dict[str, Readable] = {
            name: value
            for name, value in module.state_dict().items()
            if name.startswith(f"heads.{heads[0]}.losses.")
        }
        tensors = own | task_state(found.tensors, heads[0])
    log.info("%s", load_state(module, tensors, source=found.origin, reinitialize=reinitialize).summary())


def match_state(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Check that a checkpoint belongs to this model before anything of it is loaded.

    Raises:
        WeightsError: names or shapes differ; lists them and says what to look at.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name}: {tuple(tensors[name].shape)} in the checkpoint, {tuple(own[name].shape)} here"
        for name in sorted(own.keys() & tensors.keys())
        if tensors[name].shape != own[name].shape
    ]
    parts = [
        ("missing in the checkpoint", missing),
        ("unknown here", unexpected),
        ("of another shape", shapes),
    ]
    if lines := [f"{len(names)} {what}: {'; '.join(names[:5])}" for what, names in parts if names]:
        raise WeightsError(
            "the checkpoint is of another model:\n  " + "\n  ".join(lines) + "\n"
            "Compare model.backbone.size and the heads' settings (such as the skeleton) with those it was trained with."
        )
