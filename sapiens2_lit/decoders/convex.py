"""Upsampling by 4 with learned convex combinations of neighbors (RAFT, arXiv:2003.12039)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 4
_NEIGHBORS = [(dy, dx) for dy in range(3) for dx in range(3)]
_FLOOR = 0.01  # smallest initial weight: a softmax cannot start at 0


class ConvexUpsampler(nn.Module):
    """Upsample a map by 4: every pixel is a learned convex combination of the nine cells around it.

    It keeps constants, and edges can be as sharp as the guiding map says. With initial weights it is about bilinear.

    Args:
        width: Channels of the guiding map.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(width, len(_NEIGHBORS) * FACTOR**2, kernel_size=1)

    def start_bilinear(self) -> None:
        """Initialize the layer in place so that it upsamples about bilinearly."""
        nn.init.normal_(self.weigh.weight, std=0.01)
        assert self.weigh.bias is not None
        with torch.no_grad():
            self.weigh.bias.copy_(bilinear_logits().to(self.weigh.bias))

    def forward(self, field: Tensor, x: Tensor) -> Tensor:
        """Upsample a map.

        Args:
            field: The map (B, C, h, w).
            x: The guiding map (B, width, h, w), which says where edges are.

        Returns:
            (B, C, 4h, 4w), in the precision of `field`.
        """
        batch, channels, height, width = field.shape
        weights = self.weigh(x).to(field.dtype).view(batch, len(_NEIGHBORS), 1, FACTOR**2, height, width)
        weights = weights.softmax(dim=1)
        padded = F.pad(field, (1, 1, 1, 1), mode="replicate")[:, :, None]
        # summed one by one: all nine neighbors at once would take nine times the result's memory
        total = weights[:, 4] * field[:, :, None]
        for index, (dy, dx) in enumerate(_NEIGHBORS):
            if index != 4:
                total = total + weights[:, index] * padded[..., dy : dy + height, dx : dx + width]
        return F.pixel_shuffle(total.reshape(batch, channels * FACTOR**2, height, width), FACTOR)


def bilinear_logits() -> Tensor:
    """Return (9 * 16,) logits whose softmax over the nine neighbors is about bilinear interpolation."""
    offsets = [(index - (FACTOR - 1) / 2) / FACTOR for index in range(FACTOR)]
    along = [(max(0.0, -offset), 1 - abs(offset), max(0.0, offset)) for offset in offsets]
    return torch.tensor(
        [
            math.log(max(_FLOOR, along[row][dy] * along[column][dx]))
            for dy, dx in _NEIGHBORS
            for row in range(FACTOR)
            for column in range(FACTOR)
        ]
    )
