"""Structural similarity of images in which only some pixels are valid.

Legend: B batch, C channels, H and W rows and columns.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.metrics.filters import correlate, gaussian

_RADIUS, _SIGMA = 5, 1.5  # of the window, pixels: 11 x 11
_C1, _C2 = 0.01**2, 0.03**2  # for values in 0..1


def masked_ssim(prediction: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the structural similarity of each pixel's window, and which windows are valid.

    Source: Wang et al., IEEE TIP 2004. Means and variances are computed over the valid pixels of a window of 11 x 11
    pixels, weighted by a Gaussian of sigma 1.5; pixels outside the image are invalid. A window is valid if valid pixels
    have more than half of its weight. Far from invalid pixels and borders this is the usual definition, channel by
    channel.

    Args:
        prediction: (B, C, H, W) in 0..1, with any values at invalid pixels.
        target: (B, C, H, W), likewise.
        valid: (B, 1, H, W) bool.

    Returns:
        Similarities (B, C, H, W), at most 1, meaningless for invalid windows; valid windows (B, 1, H, W) bool.
    """
    x, y = (torch.where(valid, image.float(), 0) for image in (prediction, target))
    weight = _blur(valid.float())
    counts = weight > 0.5
    weight = torch.where(counts, weight, 1)
    mean_x, mean_y = _blur(x) / weight, _blur(y) / weight
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = _blur(x * y) / weight - product
    variances = _blur(x * x + y * y) / weight - squares
    similarity = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    return similarity, counts


def _blur(image: Tensor) -> Tensor:
    """Blur with a Gaussian, with zeros outside the image."""
    taps = gaussian(_SIGMA, _RADIUS)
    taps = taps / taps.sum()
    return correlate(correlate(F.pad(image, [_RADIUS] * 4), taps, -2), taps, -1)
