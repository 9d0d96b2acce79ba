"""The network inside graphs: an image's bytes in, every head's raw outputs out."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.models.network import Network

INPUT = "image"


class ExportNetwork(Network):
    """Map RGB uint8 (B, 3, H, W) to a flat dict: the outputs of each head, as HEAD, or HEAD.KEY for heads with several.

    Everything is float32. Normalization is part of the network, with mean and deviation as constants.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, heads: Mapping[str, nn.Module]) -> None:
        super().__init__(backbone, heads)
        device = next(backbone.parameters()).device
        for name, values in (("mean", backbone.mean), ("std", backbone.std)):
            self.register_buffer(name, torch.tensor(values, device=device).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def normalize(self, images: Tensor) -> Tensor:
        return (images.to(torch.float32) - self.mean) / self.std

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        answers: dict[str, Tensor] = {}
        for name, outputs in self.run_heads(self.features(image), image).items():
            if isinstance(outputs, dict):
                answers |= {f"{name}.{key}": value for key, value in outputs.items()}
            else:
                answers[name] = outputs
        return answers
