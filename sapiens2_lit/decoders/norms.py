"""Norms of decoders' maps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.layers import RMSNorm


class ChannelRMSNorm(nn.Module):
    """RMSNorm over the channels of each pixel of a map (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RMSNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        # Autocast would keep float32 copies of the map for the backward pass: a third more memory for the decoder.
        # The kernel sums in float32 for every input.
        with torch.autocast(x.device.type, enabled=False):
            return self.norm(x.movedim(1, -1)).movedim(-1, 1)


NORMS: dict[str, Callable[[int], nn.Module]] = {"instance": nn.InstanceNorm2d, "rms": ChannelRMSNorm}
