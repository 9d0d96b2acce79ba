"""Predictions fitted to their labels before they are scored, for what is known up to a scale or a shift only.

Legend: B batch, C channels, H and W rows and columns.
"""

from typing import Literal

import torch
from torch import Tensor

from sapiens2_lit.geometry import align

Alignment = Literal["none", "scale", "affine"]


def aligned(prediction: Tensor, target: Tensor, valid: Tensor, alignment: Alignment) -> Tensor:
    """Each sample's prediction (B, C, H, W), fitted to its target by least squares over the valid pixels.

    `scale`: times one positive factor. `affine`: that, plus a constant for each channel; for depth these are scale
    and shift (MiDaS, arXiv:1907.01341), for points scale and translation (MoGe, arXiv:2410.19115). `none`: as it is.

    Args:
        prediction: (B, C, H, W) float32.
        target: (B, C, H, W) float32, of any values where not valid.
        valid: (B, 1, H, W) bool.
        alignment: what is fitted.
    """
    if alignment == "none":
        return prediction
    wide = torch.float32 if prediction.device.type == "mps" else torch.float64
    shift: Literal["none", "all"] = "none" if alignment == "scale" else "all"
    fit = align(prediction.to(wide), target.to(wide), valid, shift=shift)
    return fit.apply(prediction.to(wide)).to(prediction.dtype)


def named(alignment: Alignment, results: dict[str, Tensor]) -> dict[str, Tensor]:
    """Results under names that tell the alignment: `rmse`, `scale_rmse`, `affine_rmse`."""
    prefix = "" if alignment == "none" else f"{alignment}_"
    return {prefix + name: value for name, value in results.items()}
