"""The networks of a training without their weights, for planning, optionally with other settings."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.decoders import Recompute
from sapiens2_lit.memory.optimizer_states import MakeOptimizer
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.adaptation import Adapt, Adaptation
from sapiens2_lit.training.backbone_module import BackboneModule
from sapiens2_lit.training.distillation.distiller import Distiller
from sapiens2_lit.training.distillation.settings import Teacher
from sapiens2_lit.training.distillation.teaching import empty_distiller
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.pretraining.module import PretrainModule
from sapiens2_lit.training.pretraining.planned import planned


@dataclass(frozen=True)
class Networks:
    """What an estimate reads: a network on the meta device, with `requires_grad` as in training."""

    network: Network
    optimizer: MakeOptimizer
    ema_settings: EMA | None
    mode: str  # of adaptation; `auto` is resolved
    teacher: Teacher | None = None

    @property
    def backbone(self) -> Backbone:
        """The backbone."""
        return self.network.backbone

    @property
    def heads(self) -> nn.ModuleDict:
        """The heads by name."""
        return self.network.heads

    def distiller(self, gpu: bool, sharded: bool) -> Distiller | None:
        """Return the teachers on the meta device and the layers that match features; None without a teacher."""
        if self.teacher is None:
            return None
        return empty_distiller(self.teacher, self.network, gpu, sharded)


def empty_networks(
    module: BackboneModule,
    *,
    adapt: Adapt | None = None,
    checkpointing: bool | None = None,
    head_checkpointing: Recompute | None = None,
    optimizer: Any = None,
    samples: int | None = None,
    teacher: Teacher | None = None,
) -> Networks:
    """Build what `module` would train, without reading a file; given settings replace the module's.

    Args:
        module: The training.
        adapt: Replaces `model.adapt`.
        checkpointing: Replaces the backbone's activation checkpointing.
        head_checkpointing: Replaces `model.head_checkpointing`.
        optimizer: Replaces the optimizer's factory.
        samples: Number of training samples, which decides `adapt.mode: auto`; None if it is not known: then everything
            is trained.
        teacher: Replaces `model.teacher`.
    """
    factory = module.factory
    if head_checkpointing is not None:
        factory = replace(factory, head_checkpointing=head_checkpointing)
    network = factory.build_empty()
    backbone = network.backbone
    pretrained = factory.source(backbone) is not None
    with torch.device("meta"):
        adaptation = Adaptation((adapt or module.adapt).resolve(pretrained, samples), backbone)
    if checkpointing is not None and backbone.activation_checkpointing is not None:
        backbone.activation_checkpointing = checkpointing
    if isinstance(module, PretrainModule):
        network = planned(network, module.objective, factory.backbone)
        if (
            checkpointing is not None
            and network.anchor is not None
            and backbone.activation_checkpointing is not None
        ):
            network.anchor.activation_checkpointing = checkpointing
    make = module.optimization.optimizer if optimizer is None else optimizer
    if teacher is None and isinstance(module, SapiensModule):
        teacher = module.teaching.settings
    return Networks(network, make, module.ema_settings, adaptation.adapt.mode, teacher)
