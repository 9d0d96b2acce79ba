"""Errors of depth maps.

Legend: B batch, H and W rows and columns.
"""

import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.metrics.alignment import Alignment, aligned, named
from sapiens2_lit.metrics.sums import RunningSums, check_maps

_DELTAS = {"delta1": 1.25, "delta2": 1.25**2, "delta3": 1.25**3}
_RATIOS = ("abs_rel", "squared_log", *_DELTAS)


class DepthErrors(RunningSums):
    """Errors of depth, over all valid pixels of all images (Eigen et al., arXiv:1406.2283).

    Results:
        mae, rmse: In the labels' unit, meters unless depth is relative.
        abs_rel: Mean of |prediction - label| / label.
        rmse_log: Of the natural logarithm.
        silog: Standard deviation of the difference of logarithms within an image, averaged over images. KITTI's tables
        show 100 times that.
        delta1, delta2, delta3: Share in 0..1 of pixels where the larger of the two depths is less than 1.25, 1.25^2 and
        1.25^3 times the smaller one.
        below_min: Share of pixels whose prediction was below `min_depth`, and was raised to it for ratios and
        logarithms.
    Ratios and logarithms ignore labels below `min_depth`, which relative depth has. NaN if no pixel was valid.

    Args:
        alignment: What is fitted to each sample's label first: `scale` or `affine` (scale and shift, for relative
            depth) by least squares, `moge_scale` or `moge_affine` by the weighted absolute error of MoGe
            (arXiv:2410.19115). Results are then called `scale_abs_rel`, `moge_affine_abs_rel`, and so on.
        min_depth: In the labels' unit, above 0.

    Raises:
        SettingError: `min_depth` is not above 0.
    """

    def __init__(self, alignment: Alignment = "none", min_depth: float = 1e-3) -> None:
        if min_depth <= 0:
            raise SettingError(f"DepthErrors: `min_depth` is {min_depth}, expected above 0.")
        counts = ("pixels", "positive", "below_min", "images")
        super().__init__((*counts, "absolute", "squared", "silog", *_RATIOS))
        self.alignment = alignment
        self.min_depth = min_depth

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add one batch of depth (B, 1, H, W), over the pixels where `valid` (B, 1, H, W) is true."""
        check_maps(prediction, target, valid, channels=1)
        target = torch.where(valid, target.float(), 1)
        prediction = aligned(prediction.float(), target, valid, self.alignment)
        error = prediction - target
        positive = valid & (target >= self.min_depth)
        raised = prediction.clamp(min=self.min_depth)
        true = target.clamp(min=self.min_depth)
        log_error = raised.log() - true.log()
        ratio = torch.maximum(raised / true, true / raised)
        counts = positive.sum(dim=(1, 2, 3))
        self.add(
            {
                "pixels": valid.sum(),
                "positive": positive.sum(),
                "below_min": (valid & (prediction < self.min_depth)).sum(),
                "images": (counts > 0).sum(),
                "absolute": self.masked(error.abs(), valid),
                "squared": self.masked(error**2, valid),
                "silog": self._silog(log_error, positive, counts),
                "abs_rel": self.masked((raised - true).abs() / true, positive),
                "squared_log": self.masked(log_error**2, positive),
                **{name: (positive & (ratio < limit)).sum() for name, limit in _DELTAS.items()},
            }
        )

    def _silog(self, log_error: Tensor, positive: Tensor, counts: Tensor) -> Tensor:
        """Sum the standard deviation of the logarithms' difference over images, around its mean for precision."""
        counts = counts.clamp(min=1)
        mean = self.masked_per_sample(log_error, positive) / counts
        spread = (log_error - mean.to(log_error.dtype)[:, None, None, None]) ** 2
        return (self.masked_per_sample(spread, positive) / counts).sqrt().sum()

    def compute(self) -> dict[str, Tensor]:
        total = self.total()
        pixels, positive = total["pixels"], total["positive"]  # 0 / 0 is NaN, as documented
        results = {
            "mae": total["absolute"] / pixels,
            "rmse": (total["squared"] / pixels).sqrt(),
            "abs_rel": total["abs_rel"] / positive,
            "rmse_log": (total["squared_log"] / positive).sqrt(),
            "silog": total["silog"] / total["images"],
            **{name: total[name] / positive for name in _DELTAS},
            "below_min": total["below_min"] / pixels,
        }
        return named(self.alignment, results)
