"""Losses of albedo, sRGB in 0..1. Predictions may leave the range.

Each term is the mean over images of the mean over an image. With `released`, it is the mean over all valid pixels of
the batch, as in the released recipe.

Legend: B batch, H and W pixels.
"""

from torch import Tensor

from sapiens2_lit.losses.masked import DenseTerm, masked_mean, squared_gradient

_DARK = 0.1  # sum of rgb below which the hue is mostly noise


class AlbedoL1(DenseTerm):
    """`weight` times the mean absolute error, summed over the three channels."""

    def __init__(self, weight: float = 2.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return masked_mean((prediction - target).abs(), valid, self.released)


class AlbedoGradient(DenseTerm):
    """`weight` times half the mean squared forward difference of the error, along x plus along y.

    A difference is valid if both its pixels are.
    """

    def __init__(self, weight: float = 2.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return squared_gradient(prediction - target, valid, self.released) / 2


class AlbedoChromaticity(DenseTerm):
    """`weight` times the mean absolute error of rgb divided by its sum: the color without its brightness.

    The sum is clamped to 0.1 or more, so that dark pixels weigh less and no gradient exceeds 10. The released form
    clamps the prediction to 0..1, which has no gradient outside, and adds 1e-6 to the sum, which makes the gradient of
    a black prediction a million times larger than others.

    Args:
        weight: Factor of this term.
        released: Use the released form, a mean over all valid pixels of the batch.
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
