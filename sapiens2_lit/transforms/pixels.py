"""Degradations of pixels: noise, low resolution, solarization. Picklable functions of an image and a generator."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Image = npt.NDArray[np.uint8]
_SOLARIZED = np.minimum(np.arange(256), np.arange(255, -1, -1)).astype(np.uint8)
PixelFunction = Callable[[Image, np.random.Generator], Image]


def channels_first(image: Image) -> Tensor:
    """Return an image (H, W, C) as (C, H, W) of the same dtype.

    OpenCV splits it ten times as fast as numpy transposes it.
    """
    planes = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
    cv2.split(image, list(planes))
    return torch.from_numpy(planes)


@dataclass(frozen=True)
class Chain:
    """Apply one function after the other."""

    steps: tuple[PixelFunction, ...]

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        for step in self.steps:
            image = step(image, rng)
        return image


@dataclass(frozen=True)
class Noise:
    """Add Gaussian noise, with a probability; its variance (for values 0..255) is drawn uniformly from a range."""

    probability: float
    variance: tuple[float, float]

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        chance, variance = rng.random(), rng.uniform(*self.variance)
        if chance >= self.probability:
            return image
        # on integers, rounded noise equals rounding the noisy value; one channel: a scalar would reach the first only
        noise = np.empty((image.shape[0], image[0].size), np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, np.zeros(1), np.full(1, np.sqrt(variance)))
        noisy: Image = cv2.add(image.reshape(noise.shape), noise, dtype=cv2.CV_8U).astype(
            np.uint8, copy=False
        )
        return noisy.reshape(image.shape)


@dataclass(frozen=True)
class Resample:
    """Resize by a factor on both sides, drawn uniformly from a range, and back, with a probability."""

    probability: float
    share: tuple[float, float]

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        chance, share = rng.random(), rng.uniform(*self.share)
        if chance >= self.probability:
            return image
        height, width = image.shape[:2]
        small = (max(1, round(width * share)), max(1, round(height * share)))
        reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        return np.asarray(
            cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8
        )


@dataclass(frozen=True)
class Solarize:
    """Invert values from 128 on, with a probability."""

    probability: float

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        if rng.random() >= self.probability:
            return image
        return np.asarray(cv2.LUT(image, _SOLARIZED), dtype=np.uint8)
