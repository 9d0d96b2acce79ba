"""Losses of depth along z, metric or relative.

Relative depth has no unit and no zero: its label is scaled to 0..1 between the nearest and the farthest valid pixel.

Legend: B batch, H and W pixels.
"""

import math

import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.geometry import relative_depth, standardize_depth
from sapiens2_lit.losses.masked import (
    DenseTerm,
    absolute_gradient,
    coarse_valid,
    coarsen,
    counted,
    masked_mean,
    mean_weight,
    positive,
    weigh,
)

_LEAST_RATIO = 0.1  # of prediction to target; below it, a straight line continues the logarithm
_RELATIVE_OFFSET = 0.1  # lifts relative depth off 0, where it has no logarithm


class SiLog(DenseTerm):
    """`weight` times the scale-invariant error of the logarithm of depth (Eigen et al., arXiv:1406.2283).

    sqrt(mean d² - variance * mean(d)² + eps²) - eps, with d = log(target) - log(prediction), over the valid pixels of
    each sample; then the mean over samples, where a sample without valid pixels adds 0. Where a prediction is negative
    or less than a tenth of its target, the tangent continues the logarithm, so that the gradient leads back. A valid
    label that is not positive makes the loss NaN or infinite.

    The released form is the mean over samples that have valid pixels, and has no eps. Its gradient is therefore NaN
    where the error is 0, and it has none for predictions that are not positive.

    Args:
        weight: Factor of this term.
        variance: 1 to ignore scale, 0 to measure it fully.
        eps: Error below which the loss is smooth, in logarithms.
        relative: Scale labels to 0..1 and learn those; both sides are raised by 0.1 before the logarithm.
        released: Use the released form.

    Raises:
        SettingError: A setting is out of its range, or `relative` and `released` are both true.
    """

    fill_value = (1.0,)

    def __init__(
        self,
        weight: float = 1.0,
        variance: float = 0.5,
        eps: float = 1e-3,
        relative: bool = False,
        released: bool = False,
    ) -> None:
        super().__init__(weight, released)
        name = type(self).__name__
        if not 0 <= variance <= 1:
            raise SettingError(f"{name}: `variance` is {variance}, expected a number from 0 to 1.")
        if relative and released:
            raise SettingError(
                f"{name}: `relative` and `released` exclude each other, expected at most one true."
            )
        self.variance = variance
        self.eps = positive(eps, f"{name}: `eps`")
        self.relative = relative

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        if self.relative:
            prediction = prediction + _RELATIVE_OFFSET
            target = relative_depth(target, counted(valid)) + _RELATIVE_OFFSET
        eps = None if self.released else self.eps
        return scale_invariant_log(prediction, target, valid, self.variance, eps)


class ScaleShiftInvariantL1(DenseTerm):
    """`weight` times the mean absolute error of relative depth: MiDaS (arXiv:1907.01341).

    Prediction and label are each standardized: minus the median, divided by the mean absolute deviation from it. Labels
    may be any depth; predictions are depth up to scale and shift.

    Args:
        weight: Factor of this term.
    """

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        there = counted(valid)
        error = standardize_depth(prediction, there) - standardize_depth(target, there)
        return masked_mean(error.abs(), valid)


class GradientMatching(DenseTerm):
    """`weight` times the mean absolute forward difference of the error, summed over scales: MegaDepth, MiDaS.

    It keeps edges where the label has them (arXiv:1804.00607). Each scale halves the one before by averaging valid
    pixels.

    Args:
        weight: Factor of this term.
        scales: Number of scales, the finest first.
        relative: Standardize prediction and label first, as `ScaleShiftInvariantL1` does; otherwise the error has the
            label's unit.

    Raises:
        SettingError: `scales` is less than 1.
    """

    def __init__(self, weight: float = 0.5, scales: int = 4, relative: bool = False) -> None:
        super().__init__(weight)
        if scales < 1:
            raise SettingError(f"GradientMatching: `scales` is {scales}, expected 1 or more.")
        self.scales = scales
        self.relative = relative

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        if self.relative:
            there = counted(valid)
            prediction, target = standardize_depth(prediction, there), standardize_depth(target, there)
        error = prediction - target
        total = absolute_gradient(error, valid)
        for scale in range(1, self.scales):
            coarse, count = coarsen(error, valid, 2**scale)
            total = total + absolute_gradient(coarse, coarse_valid(count, valid, 2**scale))
        return total


def scale_invariant_log(
    prediction: Tensor, target: Tensor, valid: Tensor, variance: float, eps: float | None
) -> Tensor:
    """Return the scalar error of `SiLog`.

    Args:
        prediction: Depth (B, 1, H, W), 1 at invalid pixels.
        target: Depth (B, 1, H, W), 1 at invalid pixels.
        valid: (B, 1, H, W), bool or weights.
        variance: 1 to ignore scale, 0 to measure it fully.
        eps: Error below which the loss is smooth; None for the released form.
    """
    each_weight, there = mean_weight(valid), counted(valid)
    some = there.any(dim=3).any(dim=2).any(dim=1)
    count = valid.sum(dim=(1, 2, 3)).clamp(min=1) if each_weight is None else weight_sum(valid)
    if eps is None:
        error = torch.log(target) - torch.log(prediction)
    else:
        error = -log_ratio(
            prediction / torch.where(target < 0, torch.nan, target)
        )  # a negative target must give NaN
    error = torch.where(there, error, 0)
    mean = weigh(error, valid).sum(dim=(1, 2, 3)) / count
    # mean d² - v mean(d)², written so that rounding cannot make it negative
    around = weigh((error - mean[:, None, None, None]).square(), valid).sum(dim=(1, 2, 3)) / count
    square = around + (1 - variance) * mean.square()
    smooth = eps or 0.0
    each = torch.where(some, square + smooth**2, 1).sqrt() - smooth  # the root of 0 has no gradient
    each = torch.where(some, each if each_weight is None else each * each_weight, 0)
    return each.sum() / some.sum().clamp(min=1) if eps is None else each.mean()


def weight_sum(valid: Tensor) -> Tensor:
    """Return the sum of the weights of each image, (B,); 1 for an image without weights."""
    total = valid.sum(dim=(1, 2, 3))
    return torch.where(total > 0, total, 1)


def log_ratio(ratio: Tensor) -> Tensor:
    """Return log(prediction / target), of the same shape as the ratio, continued below 0.1 by its tangent.

    So it is finite and increasing for every number.
    """
    below = math.log(_LEAST_RATIO) + (ratio - _LEAST_RATIO) / _LEAST_RATIO
    return torch.where(ratio > _LEAST_RATIO, torch.log(ratio.clamp(min=_LEAST_RATIO)), below)
