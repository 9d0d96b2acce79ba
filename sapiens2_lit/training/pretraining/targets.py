"""Targets of masked patches, and pictures of predictions.

Legend: p side of a patch in pixels, n patches row by row; a patch is its rows of pixels, three channels each.
"""

import torch
from torch import Tensor

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.training.pretraining.settings import Reconstruction

EPS = 1e-6


def patchify(images: Tensor, patch: int) -> Tensor:
    """Cut images (B, 3, H, W) into patches (B, N, p * p * 3)."""
    batch, channels, height, width = images.shape
    x = images.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """Return the inverse of `patchify`, (B, 3, H, W).

    Args:
        patches: (B, N, p * p * 3).
        grid: Rows and columns of patches.
        patch: Side of a patch in pixels, p.
    """
    x = patches.reshape(len(patches), *grid, patch, patch, 3)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), 3, grid[0] * patch, grid[1] * patch)


def normalize_patches(patches: Tensor) -> Tensor:
    """Normalize each patch (..., D): (x - mean) / sqrt(var + 1e-6), with the unbiased variance."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + EPS).sqrt()


def reconstruction_loss(
    predicted: Tensor, images: Tensor, masked: Tensor, patch: int, normalize: bool
) -> Tensor:
    """Return the mean squared error over the masked patches only, a scalar in float32.

    Args:
        predicted: Every patch, (B, N, p * p * 3).
        images: Images as the backbone got them, (B, 3, H, W).
        masked: Numbers of the masked patches, (B, M).
        patch: Side of a patch in pixels.
        normalize: Compare with normalized patches.
    """
    index = masked[..., None].expand(-1, -1, predicted.shape[-1])
    target = patchify(images.float(), patch).gather(1, index)
    if normalize:
        target = normalize_patches(target)
    return (predicted.gather(1, index).float() - target).square().mean()


def reconstructed(predicted: Tensor, images: Tensor, masked: Tensor, patch: int, normalize: bool) -> Tensor:
    """Return images (B, 3, H, W) with the masked patches replaced by the predicted ones.

    Normalized predictions get the true mean and deviation of their patch.

    Args:
        predicted: See `reconstruction_loss`.
        images: See `reconstruction_loss`.
        masked: See `reconstruction_loss`.
        patch: See `reconstruction_loss`.
        normalize: Whether predictions are normalized.
    """
    grid = (images.shape[-2] // patch, images.shape[-1] // patch)
    true = patchify(images.float(), patch)
    predicted = predicted.float()
    if normalize:
        variance, mean = torch.var_mean(true, dim=-1, keepdim=True)
        predicted = predicted * (variance + EPS).sqrt() + mean
    index = masked[..., None].expand(-1, -1, true.shape[-1])
    return unpatchify(true.scatter(1, index, predicted.gather(1, index)), grid, patch)


def in_pixels(predicted: Tensor, mae: Reconstruction, backbone: Backbone) -> Tensor:
    """Convert predictions to pixel values in 0..255, unless targets are normalized by patch.

    Args:
        predicted: Predictions (B, N, 3 * p * p).
        mae: Settings of the reconstruction.
        backbone: The backbone, which sets mean and deviation.
    """
    if mae.normalize_targets:
        return predicted
    std, mean = (predicted.new_tensor(one) for one in (backbone.std, backbone.mean))
    return (predicted.unflatten(-1, (-1, 3)) * std + mean).flatten(-2)


def reconstruction_pictures(
    predicted: Tensor, pixels: Tensor, masked: Tensor, mae: Reconstruction, backbone: Backbone
) -> dict[str, Tensor]:
    """Return what the backbone sees as `masked`, gray where patches are masked, and the `reconstruction` (B, 3, H, W).

    Args:
        predicted: Predictions (B, N, 3 * p * p).
        pixels: Images (B, 3, H, W), 0..255.
        masked: As `reconstructed` takes it.
        mae: Settings of the reconstruction.
        backbone: The backbone, which sets mean, deviation and the side of a patch.
    """
    patch = backbone.patch_size
    hidden = torch.full_like(predicted[..., :1], 128.0).expand_as(predicted)
    filled = in_pixels(predicted, mae, backbone)
    return {
        "masked": reconstructed(hidden, pixels, masked, patch, normalize=False),
        "reconstruction": reconstructed(filled, pixels, masked, patch, mae.normalize_targets),
    }
