"""Normalize pixel values as backbones expect them."""

from functools import lru_cache

import torch
from torch import Tensor

Channels = tuple[float, float, float]


def normalize(images: Tensor, mean: Channels, std: Channels) -> Tensor:
    """Subtract the mean from images and divide by the standard deviation.

    Args:
        images: RGB in 0..255, (B, 3, H, W), of any dtype; not changed.
        mean: Mean of each channel.
        std: Standard deviation of each channel.

    Returns:
        (B, 3, H, W) float32 on the same device.
    """
    middle = constant(mean, images.device)
    # in place on a copy, since allocating memory takes longer than the arithmetic
    floats = images - middle if images.dtype == torch.float32 else images.to(torch.float32).sub_(middle)
    return floats.div_(constant(std, images.device))


@lru_cache
def constant(channels: Channels, device: torch.device) -> Tensor:
    """Return a tensor (3, 1, 1), cached for each device, because every copy from the host would wait."""
    with torch.inference_mode(False):  # made in a prediction, it may be used in a training step
        return torch.tensor(channels, device=device).view(3, 1, 1)
