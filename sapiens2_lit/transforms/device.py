"""The loader's pixel augmentation on the training device by kornia, with the same settings and distribution.

The host decides for each sample, with the sample's own generator, which steps run and with what numbers, as the loader
does. So nothing is computed for samples that do not need it, and the host never waits for the device.

Legend: x is an image (1, 3, H, W) float32 in 0..1. Between steps its values are multiples of 1/255, like the bytes of
the loader.
"""

import math
from collections.abc import Callable
from functools import partial

import kornia
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.photometric import Photometric, PhotometricAugmentation
from sapiens2_lit.transforms.pixels import Noise, PixelFunction, Resample, Solarize
from sapiens2_lit.transforms.views import ColorAugmentation, ViewColors

DeviceFunction = Callable[[Tensor, np.random.Generator], Tensor]

_BLUR_SIDES = (3, 5, 7)


def augment_batch(images: Tensor, seeds: Tensor, steps: list[DeviceFunction]) -> Tensor:
    """Vary each RGB uint8 image of a batch (B, 3, H, W) by a generator with its seed, on the device of the batch.

    Args:
        images: (B, 3, H, W) uint8.
        seeds: (B,) int64, on the host.
        steps: from `device_steps`.

    Returns:
        (B, 3, H, W) uint8.
    """
    varied = []
    for image, seed in zip(images, seeds.tolist(), strict=True):
        rng = np.random.default_rng(seed)
        x = image[None].to(torch.float32) / 255
        for step in steps:
            x = step(x, rng)
        varied.append((x[0] * 255).round().to(torch.uint8))
    return torch.stack(varied)


def device_steps(steps: tuple[PixelFunction, ...]) -> list[DeviceFunction]:
    """Return the device versions of the loader's steps.

    Raises:
        SettingError: a step has no device version.
    """
    found: list[DeviceFunction] = []
    for step in steps:
        match step:
            case ViewColors():
                found.append(partial(vary_view, step))
            case Photometric():
                found.append(partial(vary_colors, step.settings))
            case Noise():
                found.append(partial(add_noise, step))
            case Resample():
                found.append(partial(resample, step))
            case Solarize():
                found.append(partial(solarize, step))
            case _:
                raise SettingError(
                    f"augment.on_device: {type(step).__name__} can only run in the loader; switch it off, or "
                    "set augment.on_device to false."
                )
    return found


def vary_colors(settings: PhotometricAugmentation, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary colors in a random order, then apply box blur, median blur and one black rectangle.

    Args:
        settings: probabilities and strengths of the steps.
        x: (1, 3, H, W) in 0..1.
        rng: source of the choices.

    Returns:
        (1, 3, H, W) in 0..1.
    """
    if rng.random() < settings.photometric:
        x = jitter(settings, x, rng)
    if rng.random() < settings.blur:
        side = int(rng.choice(_BLUR_SIDES))
        x = as_bytes(kornia.filters.box_blur(x, side, border_type="reflect"))
    if rng.random() < settings.median_blur:
        x = median_blur(x, int(rng.choice(_BLUR_SIDES)))
    if rng.random() < settings.dropout:
        x = drop_rectangle(settings.dropout_size, x, rng)
    return x


def vary_view(step: ViewColors, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary one view: colors in a random order, gray, Gaussian blur and solarization.

    Args:
        step: the loader's step, whose settings hold here too.
        x: (1, 3, H, W) in 0..1.
        rng: source of the choices.

    Returns:
        (1, 3, H, W) in 0..1.
    """
    settings = step.settings
    if rng.random() < settings.photometric:
        x = jitter(settings, x, rng)
    if rng.random() < settings.gray:
        x = as_bytes(kornia.color.rgb_to_grayscale(x).expand_as(x))
    if rng.random() < settings.blur:
        sigma = rng.uniform(*settings.blur_sigma)
        side = 2 * max(1, math.ceil(3 * sigma)) + 1  # as far as the loader's blur reaches
        side = min(side, 2 * ((min(x.shape[2:]) - 1) // 2) + 1)
        x = as_bytes(kornia.filters.gaussian_blur2d(x, (side, side), (sigma, sigma), border_type="reflect"))
    return solarize(step.solarize, x, rng)


def jitter(
    settings: PhotometricAugmentation | ColorAugmentation, x: Tensor, rng: np.random.Generator
) -> Tensor:
    """Change brightness, contrast, saturation and hue in a random order, each by a random amount.

    Args:
        settings: the largest change of each.
        x: (1, 3, H, W) in 0..1.
        rng: source of order and amounts.

    Returns:
        (1, 3, H, W) in 0..1.
    """
    strengths = (settings.brightness, settings.contrast, settings.saturation)
    brightness, contrast, saturation = (1 + rng.uniform(-1, 1) * strength for strength in strengths)
    turn = rng.uniform(-1, 1) * settings.hue * 2 * math.pi
    changes: list[Callable[[Tensor], Tensor]] = [
        lambda x: kornia.enhance.adjust_brightness_accumulative(x, brightness),
        lambda x: kornia.enhance.adjust_contrast_with_mean_subtraction(x, contrast),
        lambda x: kornia.enhance.adjust_saturation_with_gray_subtraction(x, saturation),
        lambda x: kornia.enhance.adjust_hue(x, turn),
    ]
    for index in rng.permutation(len(changes)):
        x = as_bytes(changes[index](x))
    return x


def median_blur(x: Tensor, side: int) -> Tensor:
    """Return the median of `side` x `side` pixels around each pixel of x (1, 3, H, W).

    The border is repeated; kornia alone would put zeros there.
    """
    margin = side // 2
    wide = F.pad(x, (margin,) * 4, mode="replicate")
    return kornia.filters.median_blur(wide, (side, side))[..., margin:-margin, margin:-margin]


def drop_rectangle(shares: tuple[float, float], x: Tensor, rng: np.random.Generator) -> Tensor:
    """Paint one rectangle with random sides at a random place black.

    Args:
        shares: smallest and largest side of the rectangle, as a fraction of the image's side.
        x: (1, 3, H, W) in 0..1; it is not changed.
        rng: source of size and place.

    Returns:
        (1, 3, H, W) in 0..1.
    """
    height, width = (int(side * rng.uniform(*shares)) for side in x.shape[2:])
    top, left = int(rng.integers(x.shape[2] - height + 1)), int(rng.integers(x.shape[3] - width + 1))
    x = x.clone()
    x[..., top : top + height, left : left + width] = 0
    return x


def add_noise(step: Noise, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Add Gaussian noise, drawn on the image's device.

    Args:
        step: probability, and the range of the variance for values 0..255.
        x: (1, 3, H, W) in 0..1.
        rng: source of the choices and of the seed on the device.

    Returns:
        (1, 3, H, W) in 0..1.
    """
    chance, variance = rng.random(), rng.uniform(*step.variance)
    if chance >= step.probability:
        return x
    source = torch.Generator(x.device).manual_seed(int(rng.integers(2**63)))
    noise = torch.randn(x.shape, generator=source, device=x.device)
    return as_bytes(x + noise * (math.sqrt(variance) / 255))


def resample(step: Resample, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Shrink an image by area averaging and enlarge it again by bilinear interpolation.

    Args:
        step: probability, and the range of the smaller side as a fraction of the image's side.
        x: (1, 3, H, W) in 0..1.
        rng: source of the choices.

    Returns:
        (1, 3, H, W) in 0..1.
    """
    chance, share = rng.random(), rng.uniform(*step.share)
    if chance >= step.probability:
        return x
    height, width = x.shape[2:]
    rows, columns = (area_weights(side, max(1, round(side * share)), x.device) for side in (height, width))
    reduced = as_bytes(rows @ x @ columns.T)
    return as_bytes(F.interpolate(reduced, (height, width), mode="bilinear", align_corners=False))


def area_weights(side: int, small: int, device: torch.device) -> Tensor:
    """Return the 2-D matrix (small, side) that averages `side` pixels into `small` equal parts by area.

    Neither kornia nor torch can shrink by areas that cut pixels, as OpenCV does.

    Args:
        side: number of source pixels.
        small: number of target pixels.
        device: where the matrix lies.
    """
    ends = torch.arange(small + 1, device=device) * (side / small)
    pixels = torch.arange(side, device=device)
    overlaps = torch.minimum(ends[1:, None], pixels + 1) - torch.maximum(ends[:-1, None], pixels)
    return overlaps.clamp(min=0) * (small / side)


def solarize(step: Solarize, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Invert values from 128 (of 255) on, with a probability.

    Args:
        step: the probability.
        x: (1, 3, H, W) in 0..1.
        rng: source of the choice.
    """
    return kornia.enhance.solarize(x, thresholds=0.5) if rng.random() < step.probability else x


def as_bytes(x: Tensor) -> Tensor:
    """Clip x (any shape) to 0..1 and round it to multiples of 1/255, as the loader's bytes are."""
    return (x * 255).round().clamp(0, 255) / 255
