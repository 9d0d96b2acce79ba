"""What masked patches are compared with, and pictures of what was predicted.

Legend: p side of a patch in pixels, n patches row by row; a patch is its rows of pixels, three channels each.
"""

import torch
from torch import Tensor

EPS = 1e-6


def patchify(images: Tensor, patch: int) -> Tensor:
    """Images (B, 3, H, W) as patches (B, N, p * p * 3)."""
    batch, channels, height, width = images.shape
    x = images.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """Return the inverse of `patchify`: (B, N, p * p * 3) to (B, 3, H, W)."""
    x = patches.reshape(len(patches), *grid, patch, patch, 3)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), 3, grid[0] * patch, grid[1] * patch)


def normalize_patches(patches: Tensor) -> Tensor:
    """Each patch (..., D) less its mean, divided by its deviation: (x - mean) / sqrt(var + 1e-6), var unbiased."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + EPS).sqrt()


def reconstruction_loss(
    predicted: Tensor, images: Tensor, masked: Tensor, patch: int, normalize: bool
) -> Tensor:
    """Mean squared error over the masked patches alone, a scalar in float32.

    Args:
        predicted: of every patch, (B, N, p * p * 3).
        images: as the backbone got them, (B, 3, H, W).
        masked: which patches were masked, (B, M).
        patch: side in pixels.
        normalize: compare with normalized patches.
    """
    index = masked[..., None].expand(-1, -1, predicted.shape[-1])
    target = patchify(images.float(), patch).gather(1, index)
    if normalize:
        target = normalize_patches(target)
    return (predicted.gather(1, index).float() - target).square().mean()


def reconstructed(predicted: Tensor, images: Tensor, masked: Tensor, patch: int, normalize: bool) -> Tensor:
    """Images (B, 3, H, W) whose masked patches are the predicted ones; of normalized ones mean and deviation are true.

    Args:
        predicted, images, masked, patch, normalize: as of `reconstruction_loss`.
    """
    grid = (images.shape[-2] // patch, images.shape[-1] // patch)
    true = patchify(images.float(), patch)
    predicted = predicted.float()
    if normalize:
        variance, mean = torch.var_mean(true, dim=-1, keepdim=True)
        predicted = predicted * (variance + EPS).sqrt() + mean
    index = masked[..., None].expand(-1, -1, true.shape[-1])
    return unpatchify(true.scatter(1, index, predicted.gather(1, index)), grid, patch)
