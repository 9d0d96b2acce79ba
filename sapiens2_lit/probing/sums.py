"""Sum over the pixels of each image, so that metrics of any set of images follow from the sums.

Legend: B images, C classes, H and W pixels, R sets of images.
"""

import torch
from torch import Tensor


def strided(field: Tensor, stride: int) -> Tensor:
    """Return every `stride`-th pixel of (..., H, W), from the middle of the first block."""
    return field[..., stride // 2 :: stride, stride // 2 :: stride].clone()


def mean_sums(error: Tensor, valid: Tensor, name: str) -> dict[str, Tensor]:
    """Return the number of valid pixels of each image (B,), and the sum of an error over them (B,).

    Args:
        error: (B, H, W).
        valid: (B, H, W) bool.
        name: Of the error's sum.
    """
    return {"pixels": valid.sum(dim=(1, 2)), name: torch.where(valid, error, 0).sum(dim=(1, 2))}


def confusion(found: Tensor, labels: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Return pixels by label and prediction, (B, C, C).

    Args:
        found: Predicted classes (B, ...).
        labels: Of the same shape.
        valid: Of the same shape, bool.
        classes: C.
    """
    pairs = labels.long() * classes + found.long()
    pairs = (
        pairs + torch.arange(len(pairs), device=pairs.device).view(-1, *[1] * (pairs.dim() - 1)) * classes**2
    )
    counts = torch.bincount(pairs[valid], minlength=len(pairs) * classes**2)
    return counts.view(len(pairs), classes, classes)


def overlap(confusion: Tensor) -> dict[str, Tensor]:
    """Return the mean IoU and the mean accuracy (each (R,)) of confusion counts (R, C, C).

    The mean IoU is over classes in labels or predictions, the mean accuracy over classes in labels.
    """
    hits, labelled = confusion.diagonal(dim1=1, dim2=2), confusion.sum(dim=2)
    union = labelled + confusion.sum(dim=1) - hits
    return {"mIoU": (hits / union).nanmean(dim=1), "mAcc": (hits / labelled).nanmean(dim=1)}
