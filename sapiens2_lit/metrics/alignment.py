"""Predictions fitted to their labels before they are scored, for what is known up to a scale or a shift only.

Legend: B batch, C channels, H and W rows and columns.
"""

from typing import Literal

import torch
from torch import Tensor

from sapiens2_lit.geometry import align, align_l1

Alignment = Literal["none", "scale", "affine", "moge_scale", "moge_affine"]

_NEAREST = 1e-3  # in the labels' unit: nearer labels, as relative depth has them, weigh no more


def aligned(prediction: Tensor, target: Tensor, valid: Tensor, alignment: Alignment) -> Tensor:
    """Each sample's prediction (B, C, H, W), fitted to its target over the valid pixels.

    `scale`: times one positive factor, by least squares. `affine`: that, plus a constant for each channel; for depth
    these are scale and shift (MiDaS, arXiv:1907.01341), for points scale and translation. `moge_scale`, `moge_affine`:
    the same by the least sum of |error| / z, with z the label's last channel, as MoGe measures (arXiv:2410.19115):
    outliers have little say there. `none`: as it is.

    Args:
        prediction: (B, C, H, W) float32.
        target: (B, C, H, W) float32, of any values where not valid.
        valid: (B, 1, H, W) bool.
        alignment: what is fitted.
    """
    if alignment == "none":
        return prediction
    wide = torch.float32 if prediction.device.type == "mps" else torch.float64
    shifts = alignment.endswith("affine")
    prediction_wide, target_wide = prediction.to(wide), target.to(wide)
    if alignment.startswith("moge"):
        depth = torch.where(valid, target_wide[:, -1:], 1).clamp(min=_NEAREST)
        fit = align_l1(prediction_wide, target_wide, valid, shift=shifts, weight=1 / depth)
    else:
        fit = align(prediction_wide, target_wide, valid, shift="all" if shifts else "none")
    return fit.apply(prediction_wide).to(prediction.dtype)


def named(alignment: Alignment, results: dict[str, Tensor]) -> dict[str, Tensor]:
    """Results under names that tell the alignment: `rmse`, `scale_rmse`, `affine_rmse`, `moge_affine_rmse`."""
    prefix = "" if alignment == "none" else f"{alignment}_"
    return {prefix + name: value for name, value in results.items()}
