"""Pixel values as the backbones expect them."""

import torch
from torch import Tensor

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def normalize(images: Tensor) -> Tensor:
    """RGB 0..255 (B, 3, H, W), any dtype, to float32 of zero mean and unit deviation, on its own device."""
    mean = torch.tensor(MEAN, device=images.device).view(3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(3, 1, 1)
    return (images.to(torch.float32) - mean) / std
