"""Heads on the class token: prototypes for self-distillation, a projection for contrast."""

import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.backbones.layers import init_layer
from sapiens2_lit.training.pretraining.settings import Distillation, InfoNCE

FULL = 768  # backbones with this many channels or more get the published sizes
PROTOTYPES, HIDDEN, BOTTLENECK = 65_536, 2_048, 256
SMALL_PROTOTYPES, SMALL_HIDDEN, SMALL_BOTTLENECK = 4_096, 4, 64


class PrototypeHead(nn.Module):
    """Three layers with GELU, a unit vector, and its products with prototypes (DINO, arXiv:2104.14294, appendix C).

    Args:
        backbone: The backbone, which sets the width.
        settings: Sizes of the head.
    """

    def __init__(self, backbone: Backbone, settings: Distillation) -> None:
        super().__init__()
        width, small = backbone.embed_dim, backbone.embed_dim < FULL
        hidden = settings.hidden or (SMALL_HIDDEN * width if small else HIDDEN)
        bottleneck = settings.bottleneck or (SMALL_BOTTLENECK if small else BOTTLENECK)
        self.prototypes = settings.prototypes or (SMALL_PROTOTYPES if small else PROTOTYPES)
        self.layers = nn.ModuleList(
            [nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, bottleneck)]
        )
        self.last = nn.Linear(bottleneck, self.prototypes, bias=False)
        if self.last.weight.device.type != "meta":
            self.apply(init_layer)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map class tokens (..., C) to logits (..., K), before any temperature."""
        first, second, third = self.layers
        x = third(F.gelu(second(F.gelu(first(tokens)))))
        return self.last(F.normalize(x.float(), dim=-1).to(x.dtype))


class ProjectionHead(nn.Module):
    """Two layers with ReLU to a unit vector (SimCLR, arXiv:2002.05709).

    Args:
        backbone: The backbone, which sets the width.
        settings: Sizes of the head.
    """

    def __init__(self, backbone: Backbone, settings: InfoNCE) -> None:
        super().__init__()
        hidden = settings.hidden or backbone.embed_dim
        self.first, self.last = nn.Linear(backbone.embed_dim, hidden), nn.Linear(hidden, settings.bottleneck)
        if self.last.weight.device.type != "meta":
            self.apply(init_layer)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map class tokens (..., C) to unit vectors (..., D), float32."""
        return F.normalize(self.last(F.relu(self.first(tokens))).float(), dim=-1)
