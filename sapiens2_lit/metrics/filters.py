"""Separable filters in exact float32.

Convolutions on a GPU may round their input to ten bits (TF32), which ruins metrics computed from differences of nearly
equal numbers. Filters that add tap by tap round nothing, and narrow ones are fast enough on any device.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

Taps = npt.NDArray[np.float64]  # on the host, since reading them from a device would wait for it


def gaussian(sigma: float, radius: int) -> Taps:
    """Return the weights exp(-x^2 / 2 sigma^2), (2 * radius + 1,), not normalized."""
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    return np.asarray(np.exp(-0.5 * (x / sigma) ** 2), dtype=np.float64)


def correlate(image: Tensor, taps: Sequence[float] | Taps, axis: int) -> Tensor:
    """Return weighted sums of neighbors along one axis, without padding.

    Args:
        image: (..., H, W), or any shape.
        taps: The weights.
        axis: The axis, which gets shorter by the number of taps less one.
    """
    size = image.shape[axis] - len(taps) + 1
    weights = [float(tap) for tap in taps]
    result = image.narrow(axis, 0, size) * weights[0]
    for place, weight in enumerate(weights[1:], start=1):
        result.add_(image.narrow(axis, place, size), alpha=weight)
    return result
