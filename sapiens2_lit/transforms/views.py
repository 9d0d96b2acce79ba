"""Views of one image for learning without labels: global views in their own colors, local views with varied colors.

Numbers are from the Sapiens2 paper (arXiv:2604.21681, appendix A.1) where it gives them. It does not give the strengths
of colors; these are from DINO (arXiv:2104.14294).
"""

import os
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.geometric import Affine, compose, mirror, reduce_first, scaling, translation
from sapiens2_lit.transforms.pixels import Image, Solarize

Region = tuple[float, float, float, float]  # x, y, width, height in pixels of the image


@dataclass(frozen=True)
class ColorAugmentation:
    """How the colors of a local view vary.

    Attributes:
        photometric: probability that colors change.
        brightness: largest relative change, either way.
        contrast: largest relative change, either way.
        saturation: largest relative change, either way.
        hue: largest turn of the hue, either way, as a fraction of the color circle.
        gray: probability of a gray picture.
        blur: probability of a Gaussian blur.
        blur_sigma: smallest and largest standard deviation of the blur, in pixels.
        solarize: probability that values from 128 on are inverted.
        on_globals: vary the global views too, which the network reconstructs; the paper does not.
        on_device: vary pixels on the training device instead of in the loader.
    """

    photometric: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    gray: float = 0.2
    blur: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize: float = 0.2
    on_globals: bool = False
    on_device: bool = False

    def __post_init__(self) -> None:
        for name in ("photometric", "gray", "blur", "solarize"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(
                    f"data.views.colors.{name} is {getattr(self, name)}, expected a probability"
                )
        for name, most in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            if not 0 <= getattr(self, name) <= most:
                raise SettingError(f"data.views.colors.{name} is {getattr(self, name)}, expected 0 to {most}")
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise SettingError(f"data.views.colors.blur_sigma is {self.blur_sigma}, expected 0 < low <= high")


@dataclass(frozen=True)
class MultiCropAugmentation:
    """How views are cut from an image.

    Attributes:
        global_scale: smallest and largest share of the image's area that a global view shows.
        local_scale: the same for a local view.
        aspect: largest factor by which a crop's aspect differs from the view's, so that its content is stretched; 1 for
            none (not published; MAE and DINO use 4/3).
        flip: probability of a mirror image.
        colors: what happens to the pixels of local views.
    """

    global_scale: tuple[float, float] = (0.5, 1.0)
    local_scale: tuple[float, float] = (0.2, 0.7)
    aspect: float = 4 / 3
    flip: float = 0.5
    colors: ColorAugmentation = field(default_factory=ColorAugmentation)

    def __post_init__(self) -> None:
        for name in ("global_scale", "local_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise SettingError(
                    f"data.views.{name} is {(low, high)}, expected 0 < smallest <= largest <= 1"
                )
        if self.aspect < 1:
            raise SettingError(f"data.views.aspect is {self.aspect}, expected a factor of 1 or more")
        if not 0 <= self.flip <= 1:
            raise SettingError(f"data.views.flip is {self.flip}, expected a probability, 0 to 1")


def draw_view(
    region: Region,
    size: tuple[int, int],
    scale: tuple[float, float],
    settings: MultiCropAugmentation,
    rng: np.random.Generator,
) -> Affine:
    """Draw a random resized crop, made smaller if it does not fit into the region.

    Args:
        region: part of the image in which the crop lies.
        size: (height, width) of the view.
        scale: smallest and largest share of the region's area.
        settings: aspect and flip.
        rng: source of the choices.

    Returns:
        float64 (2, 3), image pixel -> view pixel.
    """
    area = region[2] * region[3] * rng.uniform(*scale)
    bent = np.exp(rng.uniform(-1, 1) * np.log(settings.aspect))
    ratio = size[1] / size[0] * bent
    width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
    fits = min(1.0, region[2] / width, region[3] / height)
    width, height = width * fits, height * fits
    x = region[0] + rng.random() * (region[2] - width)
    y = region[1] + rng.random() * (region[3] - height)
    return view_affine((x, y, width, height), size, flip=bool(rng.random() < settings.flip))


def plain_view(region: Region, size: tuple[int, int]) -> Affine:
    """Return the affine of the largest crop with the view's aspect, in the middle of the region."""
    factor = min(region[2] / size[1], region[3] / size[0])
    width, height = factor * size[1], factor * size[0]
    x, y = region[0] + (region[2] - width) / 2, region[1] + (region[3] - height) / 2
    return view_affine((x, y, width, height), size)


def view_affine(crop: Region, size: tuple[int, int], flip: bool = False) -> Affine:
    """Return the affine that shows a crop, edge to edge, in a view; pixel centers are integers.

    Args:
        crop: x, y, width, height in image pixels.
        size: (height, width) of the view.
        flip: mirror it left to right.

    Returns:
        float64 (2, 3), image pixel -> view pixel.
    """
    across, down = size[1] / crop[2], size[0] / crop[3]
    affine = compose(
        translation(-0.5, -0.5), scaling(across, down), translation(0.5 - crop[0], 0.5 - crop[1])
    )
    return compose(mirror(size[1]), affine) if flip else affine


def cut_view(image: Image, affine: Affine, size: tuple[int, int]) -> Image:
    """Return the RGB uint8 (H, W, 3) pixels of a view; beyond the image its edge pixels are repeated.

    Args:
        image: (h, w, 3) uint8.
        affine: image pixel -> view pixel.
        size: (height, width) of the view.
    """
    image, affine = reduce_first(image, affine, size)
    height, width = size
    view = cv2.warpAffine(
        image, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(view, dtype=np.uint8)


class ViewColors:
    """Color, gray, blur and solarization of one view, by the settings."""

    def __init__(self, settings: ColorAugmentation) -> None:
        self.settings = settings
        self.solarize = Solarize(settings.solarize)

    @cached_property
    def compose(self) -> Any:
        """The steps of albumentations, which is imported on first use because that takes seconds."""
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations

        one = self.settings
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it only warns about unknown arguments and falls back to defaults
            return albumentations.Compose(
                [
                    albumentations.ColorJitter(
                        brightness=(1 - one.brightness, 1 + one.brightness),
                        contrast=(1 - one.contrast, 1 + one.contrast),
                        saturation=(1 - one.saturation, 1 + one.saturation),
                        hue=(-one.hue, one.hue),
                        p=one.photometric,
                    ),
                    albumentations.ToGray(p=one.gray),
                    albumentations.GaussianBlur(blur_limit=0, sigma_limit=one.blur_sigma, p=one.blur),
                ]
            )

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        self.compose.set_random_seed(int(rng.integers(2**32)))
        return self.solarize(np.asarray(self.compose(image=image)["image"]), rng)
