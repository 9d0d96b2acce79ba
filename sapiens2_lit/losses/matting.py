"""Losses of mattes: alpha and premultiplied foreground, both in 0..1.

No training recipe was released. These are the usual losses of image matting; some use alpha alone, for labels without a
foreground.

Legend: B batch, H and W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.losses.masked import (
    DenseTerm,
    absolute_gradient,
    coarse_valid,
    coarsen,
    counted,
    masked_mean,
    weigh,
)


class AlphaL1(DenseTerm):
    """`weight` times the mean absolute error of alpha (B, 1, H, W)."""

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return masked_mean((prediction - target).abs(), valid)


class AlphaCrossEntropy(DenseTerm):
    """`weight` times the mean cross-entropy of logits (B, 1, H, W) against alpha, minus the entropy of alpha.

    It is 0 where the sigmoid equals alpha, fractions included (a Kullback-Leibler divergence). Its gradient at the
    logits is the error itself, even where the sigmoid saturates. The gradient of an absolute error vanishes there: a
    network that once calls everything background, which is right for most pixels, would never leave that state.
    """

    on_logits = True

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(prediction, target, reduction="none")
        own = -torch.xlogy(target, target) - torch.xlogy(1 - target, 1 - target)
        return masked_mean(entropy - own, valid)


class AlphaGradient(DenseTerm):
    """`weight` times the mean absolute forward difference of alpha's error (B, 1, H, W).

    It makes edges as sharp as the label's. A difference is valid if both its pixels are.
    """

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return absolute_gradient(prediction - target, valid)


class AlphaLaplacian(DenseTerm):
    """`weight` times the absolute Laplacian pyramid of alpha's error (B, 1, H, W), level i times 2^i.

    Context-aware matting (Hou and Liu, arXiv:1909.09725). The sum over all levels of an image is divided by the number
    of its valid pixels. The pyramid averages the valid pixels of 2 x 2 blocks, and interpolates linearly between
    blocks.

    Args:
        weight: Factor of this term.
        levels: Number of levels; the coarsest one holds the rest.

    Raises:
        SettingError: `levels` is less than 1.
    """

    def __init__(self, weight: float = 1.0, levels: int = 5) -> None:
        super().__init__(weight)
        if levels < 1:
            raise SettingError(f"AlphaLaplacian: `levels` is {levels}, expected 1 or more.")
        self.levels = levels

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        total = prediction.new_zeros(len(prediction))
        for level, (band, counts) in enumerate(laplacian_pyramid(prediction - target, valid, self.levels)):
            total = total + 2**level * weigh(band.abs(), counts).sum(dim=(1, 2, 3))
        return (total / counted(valid).sum(dim=(1, 2, 3)).clamp(min=1)).mean()


class ForegroundL1(DenseTerm):
    """`weight` times the mean absolute error of the premultiplied foreground (B, 3, H, W), summed over channels.

    A premultiplied foreground is black where it is invisible (alpha 0), so it needs no mask.
    """

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return masked_mean((prediction - target).abs(), valid)


class CompositeL1(DenseTerm):
    """`weight` times the mean absolute error of F + (1 - alpha) B, summed over channels, on black and on white B.

    It takes premultiplied rgb and alpha as four channels (B, 4, H, W). A composite is linear in B: one that is right on
    black and on white is right on every background.
    """

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        assert prediction.shape[1] == 4, f"{prediction.shape[1]} channels, expected rgb and alpha"
        error = prediction - target
        on_black, on_white = error[:, :3], error[:, :3] - error[:, 3:]
        return masked_mean((on_black.abs() + on_white.abs()) / 2, valid)


def laplacian_pyramid(values: Tensor, valid: Tensor, levels: int) -> list[tuple[Tensor, Tensor]]:
    """Split a map into bands, the finest first, that give the map back when they are enlarged and added.

    Args:
        values: (B, C, H, W).
        valid: (B, 1, H, W), bool or weights.
        levels: Number of bands.

    Returns:
        For each level i, the band (B, C, H/2^i, W/2^i) and its `valid`.
    """
    bands = []
    for _ in range(levels - 1):
        coarse, count = coarsen(values, valid, 2)
        height, width = values.shape[2:]
        raised = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        bands.append((values - raised[..., :height, :width], valid))
        values, valid = coarse, coarse_valid(count, valid, 2)
    return [*bands, (values, valid)]
