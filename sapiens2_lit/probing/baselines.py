"""Baselines of every table: what pixels tell by themselves, and what positions tell.

Legend: B images, C channels, h and w cells.
"""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 16  # input pixels along a cell of the baselines' maps
_WAVES = 12  # along each side of a picture


class PixelFeatures:
    """The raw pixels of each patch, 16 x 16 x 3 channels."""

    about: ClassVar[dict[str, Any]] = {"backbone": "pixels", "patch": PATCH}

    def __call__(self, images: Tensor) -> Tensor:
        """Return the pixels (B, 768, h, w) of RGB 0..255 (B, 3, H, W)."""
        return F.pixel_unshuffle(padded(images.float()), PATCH)


class PositionFeatures:
    """The position of a patch, and nothing of the picture: products of cosines over rows and columns, at most 144."""

    about: ClassVar[dict[str, Any]] = {"backbone": "position", "patch": PATCH, "waves": _WAVES}

    def __call__(self, images: Tensor) -> Tensor:
        """Return the position features (B, C, h, w), the same for every picture of RGB 0..255 (B, 3, H, W)."""
        height, width = (-(-side // PATCH) for side in images.shape[-2:])
        down, across = cosines(height, images.device), cosines(width, images.device)
        waves = torch.einsum("ih,jw->ijhw", down, across).flatten(0, 1)
        return waves.expand(len(images), -1, -1, -1).contiguous()


def cosines(count: int, device: torch.device) -> Tensor:
    """Return the first waves of the discrete cosine transform over N places, (W, N), the constant one included.

    Args:
        count: N.
        device: Of the result.
    """
    places = torch.arange(count, device=device) + 0.5
    waves = torch.arange(min(_WAVES, count), device=device)
    return torch.cos(math.pi / count * waves[:, None] * places)


def padded(images: Tensor) -> Tensor:
    """Return pictures (B, 3, H, W) padded with black to the right and below, up to whole patches."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
