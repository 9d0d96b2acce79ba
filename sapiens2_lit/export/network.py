"""The network as graphs hold it: bytes of an image in, every head's raw outputs out."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.heads.base import Head
from sapiens2_lit.models.normalize import MEAN, STD

INPUT = "image"


class ExportNetwork(nn.Module):
    """RGB uint8 (B, 3, H, W) to a flat dict: the outputs of each head, as HEAD, or HEAD.KEY of heads with several.

    Everything is float32. The normalisation is inside, as constants of the network's own.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        device = next(backbone.parameters()).device
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values, device=device).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.backbone((image.to(torch.float32) - self.mean) / self.std)
        answers: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            outputs = head(features)
            if isinstance(outputs, dict):
                answers |= {f"{name}.{key}": value for key, value in outputs.items()}
            else:
                answers[name] = outputs
        return answers
