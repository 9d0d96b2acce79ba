"""Losses of albedo, sRGB in 0..1. Predictions may leave the range.

Terms are means over images of each image's mean; `released` makes them means over all pixels of the batch that count,
as they were released.

Legend: B batch, H and W pixels.
"""

from torch import Tensor

from sapiens2_lit.losses.masked import DenseTerm, masked_mean, squared_gradient

_DARK = 0.1  # sum of rgb under which a color is more noise than hue


class AlbedoL1(DenseTerm):
    """`weight` times the mean absolute error, summed over the three channels."""

    def __init__(self, weight: float = 2.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return masked_mean((prediction - target).abs(), valid, self.released)


class AlbedoGradient(DenseTerm):
    """`weight` times half the mean squared forward difference of the error, along x plus along y.

    A difference counts where both its ends do.
    """

    def __init__(self, weight: float = 2.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return squared_gradient(prediction - target, valid, self.released) / 2


class AlbedoChromaticity(DenseTerm):
    """`weight` times the mean absolute error of rgb over its sum: the color without its brightness.

    The sum counts as 0.1 at least, so that dark pixels weigh less and no gradient is larger than 10. The released form
    clamps the prediction to 0..1, which ends its gradient outside, and adds 1e-6 to the sum, which makes that of a
    black prediction a million times larger than others.

    Args:
        weight: factor of this term.
        released: the released form, a mean over all pixels of the batch that count.
    """

    def __init__(self, weight: float = 1.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        if self.released:
            error = _released(prediction.clamp(0, 1)) - _released(target)
        else:
            error = _chromaticity(prediction) - _chromaticity(target)
        return masked_mean(error.abs(), valid, self.released)


def _chromaticity(color: Tensor) -> Tensor:
    return color / color.sum(dim=1, keepdim=True).clamp(min=_DARK)


def _released(color: Tensor) -> Tensor:
    return color / (color.sum(dim=1, keepdim=True) + 1e-6)
