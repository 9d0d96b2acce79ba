"""What every table has besides the backbones: what pixels say by themselves, and what their positions say.

Legend: B images, C channels, h and w cells.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 16  # input pixels along a cell of the baselines' maps
_WAVES = 12  # along each side of a picture


class PixelFeatures:
    """The raw pixels of each patch, 16 x 16 x 3 channels."""

    about: dict[str, Any] = {"backbone": "pixels", "patch": PATCH}

    def __call__(self, images: Tensor) -> Tensor:
        """RGB 0..255 (B, 3, H, W) to (B, 768, h, w)."""
        return F.pixel_unshuffle(padded(images.float()), PATCH)


class PositionFeatures:
    """Where a patch lies, and nothing of the picture: products of cosines over rows and columns, 144 at most."""

    about: dict[str, Any] = {"backbone": "position", "patch": PATCH, "waves": _WAVES}

    def __call__(self, images: Tensor) -> Tensor:
        """RGB 0..255 (B, 3, H, W) to (B, C, h, w), the same for every picture."""
        height, width = (-(-side // PATCH) for side in images.shape[-2:])
        down, across = cosines(height, images.device), cosines(width, images.device)
        waves = torch.einsum("ih,jw->ijhw", down, across).flatten(0, 1)
        return waves.expand(len(images), -1, -1, -1).contiguous()


def cosines(count: int, device: torch.device) -> Tensor:
    """The first waves of the discrete cosine transform over `count` places, (n, count), the constant one included."""
    places = torch.arange(count, device=device) + 0.5
    waves = torch.arange(min(_WAVES, count), device=device)
    return torch.cos(math.pi / count * waves[:, None] * places)


def padded(images: Tensor) -> Tensor:
    """Pictures with black to the right and below, up to whole patches."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
