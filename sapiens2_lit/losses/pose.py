"""Losses of heatmaps against Gaussians that are never drawn.

A target map is an outer product, gy gx^T. 308 drawn maps would take 26 times the memory of the image, so targets stay
factors. The expanded form |p|^2 - 2 gy^T p gx + |gx|^2 |gy|^2 would need no map at all, but near convergence it is the
small difference of large numbers, which float32 cannot represent. So the residual p - gy gx^T is computed for a few
maps at a time and summed at once.

Legend: B batch, K keypoints, h and w heatmap rows and columns.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sapiens2_lit.errors import SettingError

_CHUNK = 2**22  # elements of the map stack processed at once: 16 MB, within a GPU's level-2 cache


class _SquaredError(torch.autograd.Function):
    """(B, K) sums over h, w of (prediction - gy gx^T)^2. The backward pass allocates only the gradient."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, gx: Tensor, gy: Tensor) -> Tensor:
        ctx.save_for_backward(prediction, gx, gy)
        sums = gx.new_empty(prediction.shape[:2], dtype=torch.promote_types(prediction.dtype, torch.float32))
        for place, residual in _residual_chunks(prediction, gx, gy):
            sums[place] = residual.square_().sum(dim=(2, 3))
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        prediction, gx, gy = ctx.saved_tensors
        result = torch.empty_like(prediction)
        for place, residual in _residual_chunks(prediction, gx, gy):
            result[place] = residual.mul_(2 * grad[place][..., None, None])
        return result, None, None


def heatmap_squared_error(prediction: Tensor, gx: Tensor, gy: Tensor) -> Tensor:
    """Return the squared error summed over each map, (B, K).

    Args:
        prediction: Heatmaps (B, K, h, w) of any float type; sums use float32 or better.
        gx: Column factor (B, K, w) of the targets gy[..., :, None] * gx[..., None, :]; gets no gradient.
        gy: Row factor (B, K, h); gets no gradient.
    """
    expected = (*gx.shape[:2], gy.shape[-1], gx.shape[-1])
    assert prediction.shape == expected, f"prediction {tuple(prediction.shape)}, targets {expected}"
    return _SquaredError.apply(prediction, gx, gy)


class KeypointMSE(nn.Module):
    """`weight` times the mean over B, K, h, w of the squared error of labeled keypoints' heatmaps.

    Unlabeled keypoints are part of the mean, as zeros. A NaN in any map, labeled or not, makes the loss NaN.

    Args:
        weight: Factor of this term.
    """

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Tensor, gx: Tensor, gy: Tensor, weight: Tensor) -> Tensor:
        """Return a scalar from heatmaps (B, K, h, w), target factors (B, K, w) and (B, K, h), and weights (B, K)."""
        return self.weight * _mean_errors(prediction, gx, gy, weight).mean()


class KeypointOHKM(nn.Module):
    """`weight` times the mean squared error of each person's `top_k` worst keypoints.

    Online hard keypoint mining (CPN, Chen et al., CVPR 2018). Unlabeled keypoints have no error: if a person has fewer
    than `top_k` labeled keypoints, zeros fill up the mean.

    Args:
        weight: Factor of this term.
        top_k: Number of keypoints of each person in the mean; at most the number in the skeleton.

    Raises:
        SettingError: `top_k` is less than 1.
    """

    def __init__(self, weight: float = 10.0, top_k: int = 128) -> None:
        super().__init__()
        if top_k < 1:
            raise SettingError(f"KeypointOHKM: `top_k` is {top_k}, expected 1 or more.")
        self.weight = weight
        self.top_k = top_k

    def forward(self, prediction: Tensor, gx: Tensor, gy: Tensor, weight: Tensor) -> Tensor:
        """Return a scalar from heatmaps (B, K, h, w), target factors (B, K, w) and (B, K, h), and weights (B, K).

        Raises:
            SettingError: `top_k` is greater than K.
        """
        if self.top_k > prediction.shape[1]:
            raise SettingError(
                f"KeypointOHKM: `top_k` is {self.top_k}, expected at most {prediction.shape[1]}, the number "
                "of keypoints; a third to a half of them is usual."
            )
        errors = _mean_errors(prediction, gx, gy, weight)
        return self.weight * errors.topk(self.top_k, dim=1, sorted=False).values.mean()


def _mean_errors(prediction: Tensor, gx: Tensor, gy: Tensor, weight: Tensor) -> Tensor:
    """Return weighted means over h, w of the squared error, (B, K)."""
    errors = heatmap_squared_error(prediction, gx, gy)
    return weight.to(errors.dtype) * errors / (prediction.shape[2] * prediction.shape[3])


def _residual_chunks(
    prediction: Tensor, gx: Tensor, gy: Tensor
) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """Yield prediction - gy gx^T (b, k, h, w) in float32 or float64, a few maps at a time, with their place."""
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    gx, gy = gx.to(dtype), gy.to(dtype)
    batch, keypoints, height, width = prediction.shape
    step_k = min(keypoints, max(1, _CHUNK // (height * width)))
    step_b = max(1, _CHUNK // (keypoints * height * width))
    for start_b in range(0, batch, step_b):
        for start_k in range(0, keypoints, step_k):
            place = (slice(start_b, start_b + step_b), slice(start_k, start_k + step_k))
            rows, columns = gy[place][..., :, None], gx[place][..., None, :]
            yield place, torch.addcmul(prediction[place].to(dtype), rows, columns, value=-1)
