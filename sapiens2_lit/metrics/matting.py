"""The four errors of alpha mattes (Rhemann et al., CVPR 2009; alphamatting.com).

The paper is "A perceptually motivated online benchmark for image matting".

Legend: B batch, H and W rows and columns.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.metrics.filters import correlate, gaussian
from sapiens2_lit.metrics.sums import RunningSums, check_maps

_SIGMA, _RADIUS = 1.4, 4  # of the gradient's Gaussian, in pixels: beyond the radius, weights are below 0.01
_STEP = 0.1  # between the levels at which connectedness is measured
_TOLERANCE = 0.15  # alpha that may be unconnected without a penalty
_THOUSAND = 1000.0


class MattingErrors(RunningSums):
    """Errors of alpha in 0..1; each image's error, averaged over images.

    Results:
        sad: Sum of absolute differences, in thousands of pixels.
        mse: Mean squared difference.
        gradient: Sum of squared differences of gradient magnitudes (Gaussian derivatives, sigma 1.4), in thousands, of
        unchanged alpha.
        minmax_gradient: The same after prediction and label are each stretched to span 0..1 in the image, as in public
        evaluation code; it differs only for mattes that do not span 0..1. Absent unless asked for.
        connectivity: Sum of differences in how far pixels are connected with the largest region that prediction and
        label share, over levels of alpha 0.1 apart, in thousands.
        unknown_sad, ...: The same over the unknown region of trimaps, averaged over images that have one; absent if no
        image has one.
    The sums grow with the size of the images, so compare them at one size only. Images without a valid pixel are
    ignored; if there are no others, all results are NaN.

    Args:
        connectivity: Measure connectivity, which searches for regions on the CPU: about 100 ms for an image of 1024 x
            768.
        minmax_gradient: Also measure `minmax_gradient`.
    """

    def __init__(self, connectivity: bool = True, minmax_gradient: bool = False) -> None:
        more = (("connectivity", connectivity), ("minmax_gradient", minmax_gradient))
        self.measured = ("sad", "mse", "gradient", *(name for name, asked in more if asked))
        unknown = tuple(f"unknown_{name}" for name in self.measured)
        super().__init__(("images", "unknown_images", *self.measured, *unknown))

    def update(
        self, prediction: Tensor, target: Tensor, valid: Tensor, unknown: Tensor | None = None
    ) -> None:
        """Add one batch of alpha.

        Args:
            prediction: (B, 1, H, W) in 0..1.
            target: (B, 1, H, W) in 0..1, with any values at invalid pixels.
            valid: (B, 1, H, W) bool.
            unknown: (B, 1, H, W) bool, the trimap's unknown region, if there is one.
        """
        check_maps(prediction, target, valid, channels=1)
        prediction = prediction.float()
        # at invalid pixels the label equals the prediction, so that their neighbors see no edge
        target = torch.where(valid, target.float(), prediction)
        error = prediction - target
        maps = {
            "sad": error.abs() / _THOUSAND,
            "mse": error**2,
            "gradient": _gradient_error(prediction, target),
        }
        if "minmax_gradient" in self.measured:
            maps["minmax_gradient"] = _gradient_error(_stretched(prediction), _stretched(target))
        if "connectivity" in self.measured:
            maps["connectivity"] = connectivity_error(prediction, target) / _THOUSAND
        region = torch.zeros_like(valid) if unknown is None else valid & unknown
        whole, part = self._errors(maps, valid), self._errors(maps, region)
        self.add({**whole, **{f"unknown_{name}": value for name, value in part.items()}})

    def _errors(self, maps: Mapping[str, Tensor], region: Tensor) -> dict[str, Tensor]:
        """Return each error summed over the images that have a pixel in the region, and the number of these images."""
        pixels = region.sum(dim=(1, 2, 3))
        sums = {name: self.masked_per_sample(values, region) for name, values in maps.items()}
        sums["mse"] = sums["mse"] / pixels.clamp(min=1)
        return {"images": (pixels > 0).sum(), **{name: values.sum() for name, values in sums.items()}}

    def compute(self) -> dict[str, Tensor]:
        total = self.total()
        images = total["images"]  # 0 / 0 is NaN, as documented
        results = {name: total[name] / images for name in self.measured}
        if total["unknown_images"] > 0:
            for name in self.measured:
                results[f"unknown_{name}"] = total[f"unknown_{name}"] / total["unknown_images"]
        return results


def _gradient_error(prediction: Tensor, target: Tensor) -> Tensor:
    return (gradient_magnitude(prediction) - gradient_magnitude(target)) ** 2 / _THOUSAND


def _stretched(alpha: Tensor) -> Tensor:
    """Stretch each alpha to span 0..1; an alpha that is constant becomes 0."""
    least, most = alpha.amin(dim=(1, 2, 3), keepdim=True), alpha.amax(dim=(1, 2, 3), keepdim=True)
    return (alpha - least) / torch.where(most > least, most - least, 1)


def gradient_magnitude(alpha: Tensor) -> Tensor:
    """Return the gradient's length (B, 1, H, W) by Gaussian derivatives (sigma 1.4, unit energy, edges repeated)."""
    smooth = gaussian(_SIGMA, _RADIUS)
    slope = smooth * np.arange(-_RADIUS, _RADIUS + 1)
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    padded = F.pad(alpha, [_RADIUS] * 4, mode="replicate")
    x = correlate(correlate(padded, smooth, -2), slope, -1)
    y = correlate(correlate(padded, slope, -2), smooth, -1)
    return (x * x + y * y).sqrt()


def connectivity_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the absolute difference of the degrees of connectedness, (B, 1, H, W), on the device of the prediction."""
    pairs = torch.cat([prediction, target], dim=1).detach().cpu().numpy()
    errors = np.stack([_connectivity_error(*pair) for pair in pairs])
    return torch.from_numpy(errors)[:, None].to(prediction.device)


def _connectivity_error(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the error (H, W) of two alphas (H, W).

    A pixel's level is the highest one at which it still belongs to the largest region that both alphas share. Its
    degree of connectedness is 1 minus the difference of its alpha and that level, if the difference exceeds the
    tolerance.
    """
    shared = np.minimum(prediction, target)
    level = np.zeros_like(shared)
    connected = np.ones(shared.shape, dtype=bool)
    for step in range(1, round(1 / _STEP) + 1):
        connected &= _largest_region(shared >= step * _STEP)
        level[connected] = step * _STEP
    degrees = [1 - np.where(alpha - level < _TOLERANCE, 0, alpha - level) for alpha in (prediction, target)]
    return np.abs(degrees[0] - degrees[1])


def _largest_region(mask: np.ndarray) -> np.ndarray:
    """Return the largest region of a mask's pixels that touch by their sides; empty if the mask is empty."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return labels == 1 + areas.argmax() if len(areas) else mask
