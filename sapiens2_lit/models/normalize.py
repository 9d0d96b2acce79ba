"""Pixel values as the backbones expect them."""

from functools import lru_cache

import torch
from torch import Tensor

Channels = tuple[float, float, float]


def normalize(images: Tensor, mean: Channels, std: Channels) -> Tensor:
    """RGB 0..255 (B, 3, H, W), any dtype, less `mean` and divided by `std`, as float32 on its own device."""
    middle = constant(mean, images.device)
    # in place, since making room for floats takes longer than computing them; what is given stays as it is
    floats = images - middle if images.dtype == torch.float32 else images.to(torch.float32).sub_(middle)
    return floats.div_(constant(std, images.device))


@lru_cache
def constant(channels: Channels, device: torch.device) -> Tensor:
    """(3, 1, 1), made once a device, since every copy from the host waits for it."""
    with torch.inference_mode(False):  # made in a prediction, it may serve a training step
        return torch.tensor(channels, device=device).view(3, 1, 1)
