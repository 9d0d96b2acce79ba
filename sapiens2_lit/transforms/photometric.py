"""Augmentation of pixel values by albumentations: color, blur and one black rectangle."""

import os
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.crop import check_probability
from sapiens2_lit.transforms.pixels import Chain, Image, PixelFunction


@dataclass(frozen=True)
class PhotometricAugmentation:
    """Settings of pixel augmentation; probabilities and `dropout_size` are the values of the released pose models.

    Attributes:
        photometric: probability that colors change at all.
        brightness: largest relative change of brightness, either way.
        contrast: largest relative change of contrast, either way.
        saturation: largest relative change of saturation, either way.
        hue: largest turn of the hue, either way, as a fraction of the color circle.
        blur: probability of a box blur of 3 to 7 pixels.
        median_blur: probability of a median blur of 3 to 7 pixels.
        dropout: probability of one rectangle painted black; keypoints under it stay labeled.
        dropout_size: smallest and largest side of that rectangle, as a fraction of the image's side.
        on_device: whether pixels are varied on the training device instead of in the loader.
    """

    photometric: float = 0.8
    brightness: float = 0.2
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.05
    blur: float = 0.1
    median_blur: float = 0.1
    dropout: float = 1.0
    dropout_size: tuple[float, float] = (0.2, 0.4)
    on_device: bool = False

    def __post_init__(self) -> None:
        for name in ("photometric", "blur", "median_blur", "dropout"):
            check_probability(self, name)
        for name, most in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            if not 0 <= getattr(self, name) <= most:
                raise SettingError(f"augment.{name} is {getattr(self, name)}, expected 0 to {most}.")
        low, high = self.dropout_size
        if not 0 < low <= high <= 1:
            raise SettingError(
                f"augment.dropout_size is {self.dropout_size}, expected 0 < smallest <= largest <= 1."
            )

    def pixel_steps(self) -> tuple[PixelFunction, ...]:
        """Return the steps that change pixel values, in order; device.py has a version of each."""
        used = any((self.photometric, self.blur, self.median_blur, self.dropout))
        return (Photometric(self),) if used else ()

    def build_pixels(self) -> PixelFunction:
        """Return the loader's part of the augmentation: nothing if it runs `on_device`.

        The result is a picklable function of an RGB uint8 image (H, W, 3) and a generator, which decides everything.
        """
        return Chain(() if self.on_device else self.pixel_steps())


class Photometric:
    """Color, blur and one black rectangle, by the settings."""

    def __init__(self, settings: PhotometricAugmentation) -> None:
        self.settings = settings
        # albumentations takes seconds to import, and asks the network for a newer version unless this is set;
        # the variable stays set because worker processes may import it again.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations
        from albumentations.augmentations.pixel.functional import adjust_hue_torchvision

        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it only warns about unknown arguments and falls back to defaults
            colors: Any = albumentations.ColorJitter(
                brightness=(1 - settings.brightness, 1 + settings.brightness),
                contrast=(1 - settings.contrast, 1 + settings.contrast),
                saturation=(1 - settings.saturation, 1 + settings.saturation),
                hue=(-settings.hue, settings.hue),
                p=settings.photometric,
            )
            colors.transforms[colors.transforms.index(adjust_hue_torchvision)] = turn_hue
            self.compose = albumentations.Compose(
                [
                    colors,
                    albumentations.Blur(blur_limit=(3, 7), p=settings.blur),
                    albumentations.MedianBlur(blur_limit=(3, 7), p=settings.median_blur),
                    albumentations.CoarseDropout(
                        num_holes_range=(1, 1),
                        hole_height_range=settings.dropout_size,
                        hole_width_range=settings.dropout_size,
                        fill=0,
                        p=settings.dropout,
                    ),
                ]
            )

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        self.compose.set_random_seed(int(rng.integers(2**32)))
        return np.asarray(self.compose(image=image)["image"])


def turn_hue(image: Image, turn: float) -> Image:
    """Turn the hues of an image by a fraction of the color circle.

    The pixels are the same as with albumentations, which takes 1.5 times as long because it looks up hues that lie
    three bytes apart.
    """
    if turn == 0:
        return image
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    turned = np.mod(np.arange(256, dtype=np.int16) + 180 * turn, 180).astype(np.uint8)
    merged = cv2.merge([cv2.LUT(hue, turned), saturation, value])
    return np.asarray(cv2.cvtColor(merged, cv2.COLOR_HSV2RGB), dtype=np.uint8)
