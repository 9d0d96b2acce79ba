"""The networks of a training without their weights, to plan with."""

import torch

from sapiens2_lit.adapt import Adaptation
from sapiens2_lit.module import SapiensModule


def build_empty(module: SapiensModule, samples: int | None = None) -> SapiensModule:
    """Build a fresh module's networks on the meta device and freeze what its training freezes; no file is read.

    Args:
        samples: to train on, by which `adapt.mode: auto` decides; None where that is not known: then it trains all.
    """
    with torch.device("meta"):
        module.backbone = module.make_backbone()
        module.heads.update({name: make(module.backbone.embed_dim) for name, make in module.make_heads.items()})
        pretrained = bool(module.weights or module.backbone.weights)
        adapt = module.adapt.resolve(pretrained, samples)
        module.adaptation = Adaptation(adapt, module.backbone)
    module.adaptation.apply(module.backbone, max([0, *adapt.schedule]))
    return module
