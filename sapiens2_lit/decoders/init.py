"""Initialization of decoders, and of any head made of convolutions."""

from torch import nn

from sapiens2_lit.backbones.layers import RMSNorm
from sapiens2_lit.decoders.convex import ConvexUpsampler


def init_decoder(module: nn.Module) -> None:
    """Initialize all layers inside: Kaiming normal weights (fan-out, arXiv:1502.01852), zero biases, unit norms."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, RMSNorm):
            nn.init.ones_(layer.weight)
    for layer in module.modules():
        if isinstance(layer, ConvexUpsampler):
            layer.start_bilinear()
