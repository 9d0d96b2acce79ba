"""What the loader does to pixels, done on the training device by kornia: the same settings, the same distribution.

Sample by sample: which steps run, and with what numbers, is decided on the host by the sample's own generator, as in
the loader, so that nothing is computed for samples that do not need it and nothing waits for the device.

Legend: x an image (1, 3, H, W) float32 in 0..1, whole multiples of 1/255 between steps, as the loader's bytes are.
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
    """RGB uint8 images (B, 3, H, W), each varied by a generator of its seed; on their own device.

    Args:
        images: the batch.
        seeds: (B,) int64, on the host.
        steps: from `device_steps`.
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
    """Return the equals of the loader's steps.

    Raises:
        SettingError: a step has none.
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
                    f"augment.on_device: {type(step).__name__} can be done in the loader alone; switch it off, or "
                    "set augment.on_device to false."
                )
    return found


def vary_colors(settings: PhotometricAugmentation, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Colors in a random order, box blur, median blur and one black rectangle."""
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
    """Colors in a random order, gray, Gaussian blur and solarization of one view."""
    settings = step.settings
    if rng.random() < settings.photometric:
        x = jitter(settings, x, rng)
    if rng.random() < settings.gray:
        x = as_bytes(kornia.color.rgb_to_grayscale(x).expand_as(x))
    if rng.random() < settings.blur:
        sigma = rng.uniform(*settings.blur_sigma)
        side = 2 * max(1, math.ceil(3 * sigma)) + 1  # as far as the loader's
        side = min(side, 2 * ((min(x.shape[2:]) - 1) // 2) + 1)
        x = as_bytes(kornia.filters.gaussian_blur2d(x, (side, side), (sigma, sigma), border_type="reflect"))
    return solarize(step.solarize, x, rng)


def jitter(
    settings: PhotometricAugmentation | ColorAugmentation, x: Tensor, rng: np.random.Generator
) -> Tensor:
    """Brightness, contrast, saturation and hue, each from its own range."""
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
    """Median of `side` x `side` pixels; the border is repeated, where kornia would put zeros."""
    margin = side // 2
    wide = F.pad(x, (margin,) * 4, mode="replicate")
    return kornia.filters.median_blur(wide, (side, side))[..., margin:-margin, margin:-margin]


def drop_rectangle(shares: tuple[float, float], x: Tensor, rng: np.random.Generator) -> Tensor:
    """One rectangle of random sides, shares of the image's, painted black."""
    height, width = (int(side * rng.uniform(*shares)) for side in x.shape[2:])
    top, left = int(rng.integers(x.shape[2] - height + 1)), int(rng.integers(x.shape[3] - width + 1))
    x = x.clone()
    x[..., top : top + height, left : left + width] = 0
    return x


def add_noise(step: Noise, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Gaussian noise, from a generator on the image's device."""
    chance, variance = rng.random(), rng.uniform(*step.variance)
    if chance >= step.probability:
        return x
    source = torch.Generator(x.device).manual_seed(int(rng.integers(2**63)))
    noise = torch.randn(x.shape, generator=source, device=x.device)
    return as_bytes(x + noise * (math.sqrt(variance) / 255))


def resample(step: Resample, x: Tensor, rng: np.random.Generator) -> Tensor:
    """To a smaller size by areas, and back between pixels."""
    chance, share = rng.random(), rng.uniform(*step.share)
    if chance >= step.probability:
        return x
    height, width = x.shape[2:]
    rows, columns = (area_weights(side, max(1, round(side * share)), x.device) for side in (height, width))
    reduced = as_bytes(rows @ x @ columns.T)
    return as_bytes(F.interpolate(reduced, (height, width), mode="bilinear", align_corners=False))


def area_weights(side: int, small: int, device: torch.device) -> Tensor:
    """(small, side): how much of each pixel of a side lies in each of `small` equal parts of it, over their length.

    Neither kornia nor torch shrinks by areas that cut pixels, as OpenCV does.
    """
    ends = torch.arange(small + 1, device=device) * (side / small)
    pixels = torch.arange(side, device=device)
    overlaps = torch.minimum(ends[1:, None], pixels + 1) - torch.maximum(ends[:-1, None], pixels)
    return overlaps.clamp(min=0) * (small / side)


def solarize(step: Solarize, x: Tensor, rng: np.random.Generator) -> Tensor:
    """Invert values from 128 on."""
    return kornia.enhance.solarize(x, thresholds=0.5) if rng.random() < step.probability else x


def as_bytes(x: Tensor) -> Tensor:
    """Clipped to 0..1 and rounded to multiples of 1/255, as the loader's steps hand on."""
    return (x * 255).round().clamp(0, 255) / 255
