"""Fit predictions to their labels before they are scored, for quantities known only up to a scale or a shift.

Legend: B batch, C channels, H and W rows and columns.
"""

from typing import Literal

import torch
from torch import Tensor

from sapiens2_lit.geometry import align, align_l1

Alignment = Literal["none", "scale", "affine", "moge_scale", "moge_affine"]

_NEAREST = 1e-3  # in the labels' unit: nearer labels, which relative depth has, get no more weight


def aligned(prediction: Tensor, target: Tensor, valid: Tensor, alignment: Alignment) -> Tensor:
    """Return each sample's prediction (B, C, H, W), fitted to its target over the valid pixels.

    `scale`: multiplied by one positive factor, by least squares. `affine`: as `scale`, plus a constant for each
    channel; for depth these are scale and shift (MiDaS, arXiv:1907.01341), for points scale and translation.
    `moge_scale`, `moge_affine`: the same, but minimizing the sum of |error| / z, with z the label's last channel, as
    MoGe measures (arXiv:2410.19115); outliers then have little influence. `none`: unchanged.

    Args:
        prediction: (B, C, H, W) float32.
        target: (B, C, H, W) float32, with any values at invalid pixels.
        valid: (B, 1, H, W) bool.
        alignment: What is fitted.
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
    """Return results under names with their alignment: `rmse`, `scale_rmse`, `affine_rmse`, `moge_affine_rmse`."""
    prefix = "" if alignment == "none" else f"{alignment}_"
    return {prefix + name: value for name, value in results.items()}
