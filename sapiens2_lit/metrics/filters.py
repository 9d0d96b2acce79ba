"""Separable filters of exact float32.

A GPU's convolution may round its input to ten bits (TF32), which metrics made of differences of nearly equal numbers
do not survive. Added tap by tap, nothing is rounded, and narrow filters are fast enough on any device.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

Taps = npt.NDArray[np.float64]  # on the host: to read them from a device would be to wait for it


def gaussian(sigma: float, radius: int) -> Taps:
    """(2 radius + 1,) weights exp(-x^2 / 2 sigma^2), not normalized."""
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    return np.asarray(np.exp(-0.5 * (x / sigma) ** 2), dtype=np.float64)


def correlate(image: Tensor, taps: Sequence[float] | Taps, axis: int) -> Tensor:
    """Weighted sums of neighbors along an axis, which gets shorter by the number of taps less one: pad first."""
    size = image.shape[axis] - len(taps) + 1
    weights = [float(tap) for tap in taps]
    result = image.narrow(axis, 0, size) * weights[0]
    for place, weight in enumerate(weights[1:], start=1):
        result.add_(image.narrow(axis, place, size), alpha=weight)
    return result
