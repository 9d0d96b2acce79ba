"""The networks of a training without their weights, to plan with, and the same training changed a little."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.decoders import Recompute
from sapiens2_lit.heads.base import set_recompute
from sapiens2_lit.memory.optimizer_states import MakeOptimizer
from sapiens2_lit.training.adaptation import Adapt, Adaptation
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.module import SapiensModule


@dataclass(frozen=True)
class Networks:
    """What an estimate reads: networks on the meta device, with `requires_grad` as in training."""

    backbone: Backbone
    heads: nn.ModuleDict
    optimizer: MakeOptimizer
    ema_settings: EMA | None
    mode: str  # of adaptation, resolved


def empty_networks(
    module: SapiensModule,
    *,
    adapt: Adapt | None = None,
    checkpointing: bool | None = None,
    head_checkpointing: Recompute | None = None,
    optimizer: Any = None,
    samples: int | None = None,
) -> Networks:
    """Build what `module` would train, without reading a file; settings that are given count instead of its own.

    Args:
        samples: to train on, by which `adapt.mode: auto` decides; None where that is not known: then it trains all.
    """
    with torch.device("meta"):
        backbone = module.make_backbone()
        heads = {name: make(backbone.embed_dim) for name, make in module.make_heads.items()}
        pretrained = bool(module.weights or backbone.weights)
        adaptation = Adaptation((adapt or module.adapt).resolve(pretrained, samples), backbone)
    adaptation.apply(backbone, max([0, *adaptation.adapt.unfreeze_at]))
    if checkpointing is not None and hasattr(backbone, "activation_checkpointing"):
        backbone.activation_checkpointing = checkpointing  # type: ignore[assignment]  # a setting, of those that have it
    set_recompute(heads, module.head_checkpointing if head_checkpointing is None else head_checkpointing)
    make = module.optimizer if optimizer is None else optimizer
    return Networks(backbone, nn.ModuleDict(heads), make, module.ema_settings, adaptation.adapt.mode)
