"""Sums over the pixels of each image, from which metrics of any set of images follow.

Legend: B images, C classes, H and W pixels, R sets of images.
"""

import torch
from torch import Tensor


def strided(field: Tensor, stride: int) -> Tensor:
    """Every `stride`-th pixel of (..., H, W), from the middle of the first block."""
    return field[..., stride // 2 :: stride, stride // 2 :: stride].clone()


def mean_sums(error: Tensor, valid: Tensor, name: str) -> dict[str, Tensor]:
    """Pixels that count of each image, and the sum of an error (B, H, W) over them."""
    return {"pixels": valid.sum(dim=(1, 2)), name: torch.where(valid, error, 0).sum(dim=(1, 2))}


def confusion(found: Tensor, labels: Tensor, valid: Tensor, classes: int) -> Tensor:
    """(B, C, C) pixels by label and prediction, of class maps (B, ...)."""
    pairs = labels.long() * classes + found.long()
    pairs = (
        pairs + torch.arange(len(pairs), device=pairs.device).view(-1, *[1] * (pairs.dim() - 1)) * classes**2
    )
    counts = torch.bincount(pairs[valid], minlength=len(pairs) * classes**2)
    return counts.view(len(pairs), classes, classes)


def overlap(confusion: Tensor) -> dict[str, Tensor]:
    """Mean IoU over classes in labels or predictions, mean accuracy over labelled ones, of counts (R, C, C)."""
    hits, labelled = confusion.diagonal(dim1=1, dim2=2), confusion.sum(dim=2)
    union = labelled + confusion.sum(dim=1) - hits
    return {"mIoU": (hits / union).nanmean(dim=1), "mAcc": (hits / labelled).nanmean(dim=1)}
