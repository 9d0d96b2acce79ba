"""Losses of surface normals. Targets are unit vectors; the length of a prediction has no meaning.

Each term is the mean over images of the mean over an image. With `released`, terms of the released recipe are means
over all valid pixels of the batch, as in that recipe.

Legend: B batch, H and W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.losses.masked import DenseTerm, masked_mean, squared_gradient

_SHORTEST = 1e-3  # predictions shorter than this are not scaled to unit length: their gradient would explode


class NormalCosine(DenseTerm):
    """`weight` times the mean of 1 - cos of the angle between prediction and target."""

    fill_value = (0.0, 0.0, -1.0)

    def __init__(self, weight: float = 10.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return masked_mean(1 - (unit(prediction) * target).sum(dim=1, keepdim=True), valid, self.released)


class NormalL1(DenseTerm):
    """`weight` times the mean absolute error, summed over the three components."""

    def __init__(self, weight: float = 1.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return masked_mean((prediction - target).abs(), valid, self.released)


class NormalGradient(DenseTerm):
    """`weight` times the mean squared forward difference of the error, along x plus along y.

    A difference is valid if both its pixels are.
    """

    def __init__(self, weight: float = 10.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return squared_gradient(prediction - target, valid, self.released)


class NormalAngle(DenseTerm):
    """`weight` times the mean angle between prediction and target, in radians.

    Its gradient does not fade with the angle as the gradient of 1 - cos does, so fine detail keeps improving. The angle
    is 2 atan2(|p - t|, |p + t|) (Kahan): arccos has no gradient at 0 and few digits near it.
    """

    fill_value = (0.0, 0.0, -1.0)

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)

    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        direction = unit(prediction)
        apart = torch.linalg.vector_norm(direction - target, dim=1, keepdim=True)
        along = torch.linalg.vector_norm(direction + target, dim=1, keepdim=True)
        return masked_mean(2 * torch.atan2(apart, along), valid)


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors (B, 3, H, W) to unit length; vectors shorter than 1e-3 are multiplied by 1000."""
    return F.normalize(vectors, dim=1, eps=_SHORTEST)
