"""The four errors of alpha mattes (Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR
2009; alphamatting.com).

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

_SIGMA, _RADIUS = 1.4, 4  # of the gradient's Gaussian, pixels: beyond it the weights are below 0.01
_STEP = 0.1  # between the levels at which connectedness is looked at
_TOLERANCE = 0.15  # alpha that may hang loose without a penalty
_THOUSAND = 1000.0


class MattingErrors(RunningSums):
    """Errors of alpha in 0..1, each image's error averaged over images.

    Results:
        sad: sum of absolute differences, in thousands of pixels.
        mse: mean squared difference.
        gradient: squared difference of gradient magnitudes (Gaussian derivatives, sigma 1.4), sum in thousands, of
            alpha as it is.
        minmax_gradient: the same after prediction and label are each stretched so that the image spans 0..1, as public
            evaluation code does; absent unless asked for. It differs where a matte does not span 0..1.
        connectivity: difference in how far pixels hang together with the largest region that prediction and label
            share, over levels of alpha 0.1 apart, sum in thousands.
        unknown_sad, ...: the same over the unknown region of trimaps, of the images that have some; absent where no
            image had any.
    The sums grow with the size of the images: compare them at one size only. Images without a valid pixel do not
    count; without any other all results are NaN.

    Args:
        connectivity: measure it, which looks for regions on the CPU, some 100 ms for an image of 1024 x 768.
        minmax_gradient: measure it, too.
    """

    def __init__(self, connectivity: bool = True, minmax_gradient: bool = False) -> None:
        more = (("connectivity", connectivity), ("minmax_gradient", minmax_gradient))
        self.measured = ("sad", "mse", "gradient", *(name for name, asked in more if asked))
        unknown = tuple(f"unknown_{name}" for name in self.measured)
        super().__init__(("images", "unknown_images", *self.measured, *unknown))

    def update(
        self, prediction: Tensor, target: Tensor, valid: Tensor, unknown: Tensor | None = None
    ) -> None:
        """Take one batch of alpha.

        Args:
            prediction: (B, 1, H, W) in 0..1.
            target: (B, 1, H, W) in 0..1, of any values where not valid.
            valid: (B, 1, H, W) bool.
            unknown: (B, 1, H, W) bool, the trimap's unknown region, if there is one.
        """
        check_maps(prediction, target, valid, channels=1)
        prediction = prediction.float()
        # where nothing is known the label agrees, and neighbors see no edge
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
        """Each error summed over the images that have a pixel in the region, and their number."""
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
    """Each alpha so that it spans 0..1; one that is the same everywhere is 0."""
    least, most = alpha.amin(dim=(1, 2, 3), keepdim=True), alpha.amax(dim=(1, 2, 3), keepdim=True)
    return (alpha - least) / torch.where(most > least, most - least, 1)


def gradient_magnitude(alpha: Tensor) -> Tensor:
    """Length of the gradient (B, 1, H, W) by Gaussian derivatives of sigma 1.4 and unit energy; edges are repeated."""
    smooth = gaussian(_SIGMA, _RADIUS)
    slope = smooth * np.arange(-_RADIUS, _RADIUS + 1)
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    padded = F.pad(alpha, [_RADIUS] * 4, mode="replicate")
    x = correlate(correlate(padded, smooth, -2), slope, -1)
    y = correlate(correlate(padded, slope, -2), smooth, -1)
    return (x * x + y * y).sqrt()


def connectivity_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute difference of the degrees of connectedness, (B, 1, H, W), on the device of the prediction."""
    pairs = torch.cat([prediction, target], dim=1).detach().cpu().numpy()
    errors = np.stack([_connectivity_error(*pair) for pair in pairs])
    return torch.from_numpy(errors)[:, None].to(prediction.device)


def _connectivity_error(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(H, W), from alphas (H, W).

    A pixel's level is the highest at which it still belongs to the largest region that both alphas share; its degree
    of connectedness is 1 less what its alpha exceeds that level by, if that is no trifle.
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
    """Return the largest of a mask's regions of pixels that touch by their sides; nothing where the mask is empty."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return labels == 1 + areas.argmax() if len(areas) else mask
