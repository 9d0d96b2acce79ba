"""Pixel values as the backbones expect them."""

from functools import lru_cache

import torch
from torch import Tensor

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def normalize(images: Tensor) -> Tensor:
    """RGB 0..255 (B, 3, H, W), any dtype, to float32 of zero mean and unit deviation, on its own device."""
    mean, std = constants(images.device)
    return (images.to(torch.float32) - mean) / std


@lru_cache
def constants(device: torch.device) -> list[Tensor]:
    """MEAN and STD as (3, 1, 1); once a device, since every copy from the host waits for it."""
    with torch.inference_mode(False):  # made in a prediction, they may serve a training step
        return [torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, STD)]
