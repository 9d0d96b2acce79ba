"""Separable filters of exact float32.

A GPU's convolution may round its input to ten bits (TF32), which metrics made of differences of nearly equal numbers
do not survive. Added tap by tap, nothing is rounded, and narrow filters are fast enough on any device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def gaussian(sigma: float, radius: int) -> Tensor:
    """(2 radius + 1,) float64 weights exp(-x^2 / 2 sigma^2), not normalised."""
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    return torch.exp(-0.5 * (x / sigma) ** 2)


def correlate(image: Tensor, taps: Sequence[float] | Tensor, axis: int) -> Tensor:
    """Weighted sums of neighbours along an axis, which gets shorter by the number of taps less one: pad first."""
    size = image.shape[axis] - len(taps) + 1
    weights = [float(tap) for tap in taps]
    result = image.narrow(axis, 0, size) * weights[0]
    for place, weight in enumerate(weights[1:], start=1):
        result.add_(image.narrow(axis, place, size), alpha=weight)
    return result
