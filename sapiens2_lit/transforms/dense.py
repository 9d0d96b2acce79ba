"""Augmentation for normals, point maps, depth, albedo and mattes: views and pixels in flat groups of settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.crop import check_probability
from sapiens2_lit.transforms.geometric import Affine, compose, translation
from sapiens2_lit.transforms.photometric import PhotometricAugmentation
from sapiens2_lit.transforms.pixels import Noise, PixelFunction, Resample, Solarize
from sapiens2_lit.transforms.whole_image import ImageView, WholeImageVariation, fit_affine


@dataclass(frozen=True)
class ViewAugmentation:
    """Random views without change of color, for labels that are colors themselves: albedo and mattes.

    Set each value by itself, as in `--data.augment.flip 0.5`; `--data.augment null` switches all of it off. The
    defaults are the recipe of the released Sapiens2 albedo models. The colors of a photograph tell albedo from light: a
    change of the colors that leaves the label alone would teach a wrong albedo.

    Attributes:
        flip: probability of a mirror image.
        scale: smallest and largest factor on the size at which the whole view fits, drawn uniformly; larger views are
            cut, smaller ones are padded with ignored pixels.
        scale_probability: probability of a change of scale.
        crop: probability that a random rectangle is shown instead of the whole image, as large as it fits.
        crop_area: smallest and largest share of the image that the rectangle covers, drawn uniformly.
        crop_aspect: smallest and largest width over height of the rectangle, drawn uniformly in the logarithm.
        rotation: largest rotation in degrees, either way, drawn uniformly; the released recipe has none.
        rotation_probability: probability of a rotation, if `rotation` is not 0.
        noise: probability of Gaussian noise.
        noise_variance: smallest and largest variance of that noise, for values 0..255, drawn uniformly.
    """

    flip: float = 0.3
    scale: tuple[float, float] = (0.5, 2.0)
    scale_probability: float = 0.3
    crop: float = 0.3
    crop_area: tuple[float, float] = (0.4, 1.0)
    crop_aspect: tuple[float, float] = (0.5, 2.0)
    rotation: float = 0.0
    rotation_probability: float = 0.5
    noise: float = 0.2
    noise_variance: tuple[float, float] = (5.0, 20.0)

    def __post_init__(self) -> None:
        for name in ("flip", "scale_probability", "crop", "rotation_probability", "noise"):
            check_probability(self, name)
        for name in ("scale", "crop_aspect"):
            _check_range(self, name, above=0)
        _check_range(self, "crop_area", above=0, most=1)
        _check_range(self, "noise_variance")
        if not 0 <= self.rotation <= 180:
            raise SettingError(f"augment.rotation is {self.rotation}, expected degrees, 0 to 180.")

    def choose(
        self,
        image_size: tuple[int, int],
        size: tuple[int, int],
        labels: Mapping[str, Any],
        rng: np.random.Generator,
        view: ImageView = "letterbox",
    ) -> Affine:
        """Return the affine of one sample.

        It draws the same number of values from `rng` for all settings.

        Args:
            image_size: (height, width) of the image.
            size: (height, width) of the input.
            labels: of the image; not used here.
            rng: source of the choice.
            view: whether the shown region keeps its aspect.
        """
        flip, scale_chance, crop_chance, rotation_chance = rng.random(4)
        x, y, left, top, rotation_part = rng.uniform(-1, 1, 5)
        scale, area = rng.uniform(*self.scale), rng.uniform(*self.crop_area)
        aspect = np.exp(rng.uniform(*np.log(self.crop_aspect)))
        variation = WholeImageVariation(
            flip=bool(flip < self.flip),
            scale=float(scale) if scale_chance < self.scale_probability else 1.0,
            rotation=float(rotation_part * self.rotation)
            if rotation_chance < self.rotation_probability
            else 0.0,
            place=(float(x), float(y)),
        )
        if crop_chance >= self.crop:
            return fit_affine(image_size, size, variation, view)
        height, width = image_size
        pixels = area * height * width
        shown_width = int(np.clip(round(np.sqrt(pixels * aspect)), 1, width))
        shown_height = int(np.clip(round(np.sqrt(pixels / aspect)), 1, height))
        corner = translation(
            -(1 + left) / 2 * (width - shown_width), -(1 + top) / 2 * (height - shown_height)
        )
        return compose(fit_affine((shown_height, shown_width), size, variation, view), corner)

    def build_pixels(self) -> PixelFunction:
        """Return a picklable function that maps an RGB uint8 image (H, W, 3) and a generator to a varied image."""
        return Noise(self.noise, self.noise_variance)


@dataclass(frozen=True)
class DenseAugmentation(ViewAugmentation, PhotometricAugmentation):
    """All random variation of a training sample of normals, point maps or depth.

    Set each value by itself, as in `--data.augment.flip 0.5`; `--data.augment null` switches all of it off.
    Probabilities and ranges are the recipe of the released Sapiens2 normal models. That recipe does not give the
    strength of colors, blur and noise. The recipe of point maps has only colors, scale, crop and flip
    (`RELEASED_POINTMAP`).

    Attributes:
        flip: probability of a mirror image.
        scale: smallest and largest factor on the size at which the whole view fits, drawn uniformly; larger views are
            cut, smaller ones are padded with ignored pixels.
        scale_probability: probability of a change of scale.
        crop: probability that a random rectangle is shown instead of the whole image, as large as it fits.
        crop_area: smallest and largest share of the image that the rectangle covers, drawn uniformly.
        crop_aspect: smallest and largest width over height of the rectangle, drawn uniformly in the logarithm.
        rotation: largest rotation in degrees, either way, drawn uniformly; the released recipe has none.
        rotation_probability: probability of a rotation, if `rotation` is not 0.
        photometric: probability that colors change at all.
        brightness: largest relative change of brightness, either way.
        contrast: largest relative change of contrast, either way.
        saturation: largest relative change of saturation, either way.
        hue: largest turn of the hue, either way, as a fraction of the color circle.
        blur: probability of a box blur of 3 to 7 pixels.
        median_blur: probability of a median blur of 3 to 7 pixels.
        resample: probability that the input is resized to a smaller size and back.
        resample_size: smallest and largest factor on both sides for that smaller size, drawn uniformly.
        solarize: probability that values from 128 on are inverted.
        noise: probability of Gaussian noise.
        noise_variance: smallest and largest variance of that noise, for values 0..255, drawn uniformly.
        dropout: probability of one rectangle painted black; its pixels stay labeled.
        dropout_size: smallest and largest side of that rectangle, as a fraction of the image's side.
        on_device: whether pixels are varied on the training device instead of in the loader.
    """

    blur: float = 0.3
    median_blur: float = 0.0
    dropout: float = 0.0
    noise: float = 0.3
    resample: float = 0.2
    resample_size: tuple[float, float] = (0.1, 0.7)
    solarize: float = 0.3

    def __post_init__(self) -> None:
        ViewAugmentation.__post_init__(self)
        PhotometricAugmentation.__post_init__(self)
        for name in ("resample", "solarize"):
            check_probability(self, name)
        _check_range(self, "resample_size", above=0, most=1)

    def pixel_steps(self) -> tuple[PixelFunction, ...]:
        """Return the steps that change pixel values, in the order in which they run."""
        return (
            *PhotometricAugmentation.pixel_steps(self),
            Resample(self.resample, self.resample_size),
            Solarize(self.solarize),
            Noise(self.noise, self.noise_variance),
        )

    def build_pixels(self) -> PixelFunction:
        return PhotometricAugmentation.build_pixels(self)


def _check_range(settings: object, name: str, *, above: float | None = None, most: float = np.inf) -> None:
    """Raise SettingError if the field `name` is not a pair (smallest, largest) within the bounds."""
    low, high = getattr(settings, name)
    low_enough = low >= 0 if above is None else low > above
    if not (low_enough and low <= high <= most):
        bound = "0 <=" if above is None else f"{above} <"
        limit = "" if np.isinf(most) else f" <= {most}"
        raise SettingError(
            f"augment.{name} is {getattr(settings, name)}, expected {bound} smallest <= largest{limit}."
        )


RELEASED = DenseAugmentation()  # for normals; depth has no recipe and uses this one
RELEASED_POINTMAP = DenseAugmentation(blur=0.0, resample=0.0, solarize=0.0, noise=0.0)
COLORLESS = ViewAugmentation()
