"""Errors of albedo images.

Legend: B batch, H and W rows and columns.
"""

import torch
from torch import Tensor

from sapiens2_lit.metrics.alignment import aligned
from sapiens2_lit.metrics.ssim import masked_ssim
from sapiens2_lit.metrics.sums import RunningSums, check_maps

_SUMS = ("values", "absolute", "squared", "ssim", "windows", "gradient_x", "gradient_y", "pairs_x", "pairs_y")


class AlbedoErrors(RunningSums):
    """Errors of sRGB albedo in 0..1, over all channels of all valid pixels of all images.

    Results:
        mae, rmse: In the units of the images.
        psnr: In decibels for a peak of 1, from the error over all images; infinite if the error is 0.
        ssim: Structural similarity in -1..1, over windows of which more than half is valid (`masked_ssim`).
        grad_l1: Absolute error of the difference between neighbors: the mean over pairs of valid pixels, averaged over
        columns and rows.
        si_mae, si_rmse: The same after each image's prediction is multiplied by the factor that fits its label best by
        least squares, so that a wrong overall brightness costs nothing (Grosse et al., ICCV 2009, with one window).
    All are NaN if no pixel was valid.
    """

    def __init__(self) -> None:
        super().__init__((*_SUMS, "si_absolute", "si_squared"))

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add one batch of albedo (B, 3, H, W), over the pixels where `valid` (B, 1, H, W) is true."""
        check_maps(prediction, target, valid, channels=3)
        prediction, target = prediction.float(), torch.where(valid, target.float(), 0)
        error = prediction - target
        rescaled = aligned(prediction, target, valid, "scale") - target
        similarity, windows = masked_ssim(prediction, target, valid)
        pairs_x, pairs_y = valid[..., 1:] & valid[..., :-1], valid[..., 1:, :] & valid[..., :-1, :]
        self.add(
            {
                "values": 3 * valid.sum(),
                "absolute": self.masked(error.abs(), valid),
                "squared": self.masked(error**2, valid),
                "si_absolute": self.masked(rescaled.abs(), valid),
                "si_squared": self.masked(rescaled**2, valid),
                "ssim": self.masked(similarity, windows),
                "windows": 3 * windows.sum(),
                "gradient_x": self.masked(error.diff(dim=-1).abs(), pairs_x),
                "gradient_y": self.masked(error.diff(dim=-2).abs(), pairs_y),
                "pairs_x": 3 * pairs_x.sum(),
                "pairs_y": 3 * pairs_y.sum(),
            }
        )

    def compute(self) -> dict[str, Tensor]:
        total = self.total()
        squared = total["squared"] / total["values"]  # 0 / 0 is NaN, as documented
        columns, rows = total["gradient_x"] / total["pairs_x"], total["gradient_y"] / total["pairs_y"]
        return {
            "mae": total["absolute"] / total["values"],
            "rmse": squared.sqrt(),
            "psnr": -10 * squared.log10(),
            "ssim": total["ssim"] / total["windows"],
            "grad_l1": (columns + rows) / 2,
            "si_mae": total["si_absolute"] / total["values"],
            "si_rmse": (total["si_squared"] / total["values"]).sqrt(),
        }
