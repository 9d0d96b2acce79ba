"""Angles between surface normals.

Legend: B batch, H and W rows and columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.metrics.sums import RunningSums, check_maps

_RIGHT_ANGLE, _HALF_TURN = 90.0, 180.0


class NormalAngles(RunningSums):
    """Angle in degrees between predicted and true normals, over all valid pixels of all images.

    Results: `mean_angle`, `median_angle`, `rmse_angle` in degrees; `within@5deg` and so on, the share in 0..1 of pixels
    whose angle is below the threshold. Prediction and target need not have unit length. A vector without a direction
    (all zero) has an error of 90 degrees, like a random guess. If no pixel was valid, all are NaN; if a prediction was
    NaN, mean, median and RMSE are.

    An exact median would need all pixels in memory. It is read from a histogram instead, as the middle of the bin in
    which half of the pixels are reached, so its error is half a bin at most. The released evaluation uses bins of half
    a degree (`bin_width=0.5`) and gives shares in percent.

    Args:
        thresholds: In degrees, one `within@` result for each.
        bin_width: Bin width of the median's histogram, in degrees.
        prefix: Put in front of the results' names.

    Raises:
        SettingError: The bin width is not above 0 and at most 180.
    """

    histogram: Tensor

    def __init__(
        self,
        thresholds: Sequence[float] = (5, 7.5, 11.25, 22.5, 30),
        bin_width: float = 0.05,
        prefix: str = "",
    ) -> None:
        if not 0 < bin_width <= _HALF_TURN:
            raise SettingError(
                f"NormalAngles: `bin_width` is {bin_width}, expected above 0, at most 180 degrees."
            )
        self.labels = [f"within@{threshold:g}deg" for threshold in thresholds]
        super().__init__(("pixels", "angle", "squared_angle", *self.labels))
        self.thresholds = tuple(thresholds)
        self.bin_width = bin_width
        self.prefix = prefix
        bins = torch.zeros(int(_HALF_TURN / bin_width) + 1, dtype=torch.int64)
        self.add_state("histogram", bins, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add one batch of normals (B, 3, H, W), over the pixels where `valid` (B, 1, H, W) is true."""
        check_maps(prediction, target, valid, channels=3)
        angle = angle_between(prediction, target)
        within = [(valid & (angle < threshold)).sum() for threshold in self.thresholds]
        self.add(
            {
                "pixels": valid.sum(),
                "angle": self.masked(angle, valid),
                "squared_angle": self.masked(angle**2, valid),
                **dict(zip(self.labels, within, strict=True)),
            }
        )
        bins = (torch.where(valid, angle, 0) / self.bin_width).long().clamp(0, len(self.histogram) - 1)
        # weights of 0 and 1: selecting the valid pixels would wait for the device to count them
        self.histogram.index_add_(0, bins.flatten(), valid.flatten().long())

    def compute(self) -> dict[str, Tensor]:
        total = self.total()
        mean = total["angle"] / total["pixels"]  # 0 / 0 is NaN, as documented
        reached = self.histogram.cumsum(0) * 2 >= self.histogram.sum()
        median = (reached.to(torch.int64).argmax() + 0.5) * self.bin_width
        results = {
            "mean_angle": mean,
            "median_angle": torch.where(mean.isnan(), torch.nan, median.to(mean.dtype)),
            "rmse_angle": (total["squared_angle"] / total["pixels"]).sqrt(),
            **{name: total[name] / total["pixels"] for name in self.labels},
        }
        return {self.prefix + name: value for name, value in results.items()}


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Return degrees (B, 1, H, W) in 0..180 between vectors (B, 3, H, W) of any length; 90 if one of them is zero.

    It uses the arc tangent, which is exact everywhere: the arc cosine loses all digits where vectors nearly agree.
    """
    a, b = a.float(), b.float()
    sine = torch.linalg.cross(a, b, dim=1).square().sum(dim=1, keepdim=True).sqrt()
    cosine = (a * b).sum(dim=1, keepdim=True)
    angle = torch.rad2deg(torch.atan2(sine, cosine))
    return torch.where((sine == 0) & (cosine == 0), _RIGHT_ANGLE, angle)
