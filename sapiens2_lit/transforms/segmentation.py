"""Augmentation for segmentation: random views and pixels in one flat group of settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.crop import check_probability
from sapiens2_lit.transforms.geometric import Affine, compose, resizing, warp_labels
from sapiens2_lit.transforms.photometric import PhotometricAugmentation
from sapiens2_lit.transforms.pixels import Noise, PixelFunction
from sapiens2_lit.transforms.whole_image import ImageView, WholeImageAugmentation, fit_affine
from sapiens2_lit.vocabularies import IGNORED

_TRIES = 10  # largest number of views drawn until one is mixed enough
_COARSE = 1 / 8  # of the input's sides: enough to measure shares of classes
_KEEP = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True)
class SegmentationAugmentation(WholeImageAugmentation, PhotometricAugmentation):
    """All random variation of a segmentation training sample.

    Set each value by itself, as in `--data.augment.rotation 20`; `--data.augment null` switches all of it off. Scale,
    rotation, flip, blur and noise are the recipe of the released Sapiens2 segmentation models. Other backgrounds are
    settings of the datamodule, since they need photographs. In the released recipe three in ten samples are crops in
    which no class takes more than 75 % of the pixels. Here every view that does not fit is a crop, and three in ten
    views are held to these 75 %.

    Attributes:
        flip: probability of a mirror image, left and right classes swapped.
        scale: smallest and largest factor on the size at which the whole image fits, drawn uniformly; larger images are
            cropped, smaller ones are padded with ignored pixels.
        rotation: largest rotation in degrees, either way, drawn uniformly.
        rotation_probability: probability of a rotation.
        mixed: probability that the view must be mixed: up to ten views are drawn until no class takes too much of one.
        largest_share: largest share of a mixed view's pixels that one class may take.
        photometric: probability that colors change at all.
        brightness: largest relative change of brightness, either way.
        contrast: largest relative change of contrast, either way.
        saturation: largest relative change of saturation, either way.
        hue: largest turn of the hue, either way, as a fraction of the color circle.
        blur: probability of a box blur of 3 to 7 pixels.
        median_blur: probability of a median blur of 3 to 7 pixels.
        noise: probability of Gaussian noise.
        noise_variance: smallest and largest variance of that noise, for values 0..255, drawn uniformly.
        dropout: probability of one rectangle painted black; its pixels stay labeled.
        dropout_size: smallest and largest side of that rectangle, as a fraction of the image's side.
        on_device: whether pixels are varied on the training device instead of in the loader.
    """

    blur: float = 0.3
    median_blur: float = 0.0
    dropout: float = 0.0
    mixed: float = 0.3
    largest_share: float = 0.75
    noise: float = 0.3
    noise_variance: tuple[float, float] = (5.0, 20.0)

    def __post_init__(self) -> None:
        WholeImageAugmentation.__post_init__(self)
        PhotometricAugmentation.__post_init__(self)
        for name in ("mixed", "noise"):
            check_probability(self, name)
        if not 0 < self.largest_share <= 1:
            raise SettingError(f"augment.largest_share is {self.largest_share}, expected a share, 0 to 1.")
        low, high = self.noise_variance
        if not 0 <= low <= high:
            raise SettingError(
                f"augment.noise_variance is {self.noise_variance}, expected 0 <= smallest <= largest."
            )

    def choose(
        self,
        image_size: tuple[int, int],
        size: tuple[int, int],
        labels: Mapping[str, npt.NDArray[Any]],
        rng: np.random.Generator,
        view: ImageView = "letterbox",
    ) -> Affine:
        """Return the affine of one sample; the label `segmentation` tells which views are mixed.

        If none of ten views is mixed, the last one is used.
        """
        tries = _TRIES if rng.random() < self.mixed and "segmentation" in labels else 1
        for _ in range(tries):
            affine = fit_affine(image_size, size, self.sample_view(rng), view)
            if tries == 1 or largest_share(labels["segmentation"], affine, size) <= self.largest_share:
                break
        return affine

    def pixel_steps(self) -> tuple[PixelFunction, ...]:
        noise = (Noise(self.noise, self.noise_variance),) if self.noise else ()
        return (*PhotometricAugmentation.pixel_steps(self), *noise)


def largest_share(labels: npt.NDArray[np.uint8], affine: Affine, size: tuple[int, int]) -> float:
    """Return the share of the most frequent class among the valid pixels of a view, measured at low resolution.

    Args:
        labels: 2-D (h, w), class of each pixel, 255 ignored.
        affine: image pixel -> view pixel.
        size: (height, width) of the view.

    Returns:
        A number in 0..1; 1 if no pixel is valid.
    """
    height, width = (max(1, round(side * _COARSE)) for side in size)
    coarse = compose(resizing(width / size[1], height / size[0]), affine)
    seen = warp_labels(labels, coarse, (height, width), _KEEP, outside=IGNORED)
    counts = np.bincount(seen.ravel(), minlength=256)[:IGNORED]
    return float(counts.max() / counts.sum()) if counts.any() else 1.0


RELEASED = SegmentationAugmentation()
