"""A view of the whole image, and its random variation in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.crop import check_probability
from sapiens2_lit.transforms.geometric import Affine, compose, mirror, rotation, scaling, translation

ImageView = Literal["letterbox", "stretch"]  # whole images keep their aspect, or fill the input


def check_view(view: str) -> None:
    """Check that `view` is a way to show a whole image.

    Raises:
        SettingError: it is neither `letterbox` nor `stretch`.
    """
    if view not in get_args(ImageView):
        raise SettingError(f"data.view is {view!r}, expected {' or '.join(get_args(ImageView))}.")


@dataclass(frozen=True)
class WholeImageVariation:
    """How one view of an image differs from the plain view. The defaults change nothing.

    Attributes:
        flip: left to right.
        scale: factor on the size at which the whole image fits.
        rotation: degrees, about the middle of the view.
        place: in x and y, -1 to 1. If the image is larger than the input, the part of it that is seen; if it is
            smaller, the place where it lies: 0 in the middle, -1 and 1 at an edge.
    """

    flip: bool = False
    scale: float = 1.0
    rotation: float = 0.0
    place: tuple[float, float] = (0.0, 0.0)


PLAIN = WholeImageVariation()


def fit_affine(
    image_size: tuple[int, int],
    size: tuple[int, int],
    variation: WholeImageVariation = PLAIN,
    view: ImageView = "letterbox",
) -> Affine:
    """Return the affine that shows the whole image in the input, as large as it fits.

    Args:
        image_size: (height, width) of the image.
        size: (height, width) of the input.
        variation: scale, rotation, place and flip to apply.
        view: `letterbox` keeps the aspect; `stretch` fills the input after the image was rotated.

    Returns:
        float64 (2, 3), image pixel -> input pixel.
    """
    (image_height, image_width), (height, width) = image_size, size
    across, down = width / image_width, height / image_height
    if view == "letterbox":
        across = down = min(across, down)
    across, down = variation.scale * across, variation.scale * down
    # The image point in the middle of the view: inside the image if that is larger, so that some of it is always seen.
    x = (image_width - 1 + variation.place[0] * (image_width - width / across)) / 2
    y = (image_height - 1 + variation.place[1] * (image_height - height / down)) / 2
    affine = compose(
        translation((width - 1) / 2, (height - 1) / 2),
        scaling(across, down),
        rotation(variation.rotation),
        translation(-x, -y),
    )
    return compose(mirror(width), affine) if variation.flip else affine


@dataclass(frozen=True)
class WholeImageAugmentation:
    """Settings of random views of whole images; the defaults are the settings of the released segmentation models.

    Attributes:
        flip: probability of a mirror image, left and right classes swapped.
        scale: smallest and largest factor on the size at which the whole image fits, drawn uniformly; larger images are
            cropped, smaller ones are padded with ignored pixels.
        rotation: largest rotation in degrees, either way, drawn uniformly.
        rotation_probability: probability of a rotation.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.4, 2.0)
    rotation: float = 60.0
    rotation_probability: float = 0.5

    def __post_init__(self) -> None:
        for name in ("flip", "rotation_probability"):
            check_probability(self, name)
        low, high = self.scale
        if not 0 < low <= high:
            raise SettingError(f"augment.scale is {self.scale}, expected 0 < smallest <= largest.")
        if not 0 <= self.rotation <= 180:
            raise SettingError(f"augment.rotation is {self.rotation}, expected degrees, 0 to 180.")

    def sample_view(self, rng: np.random.Generator) -> WholeImageVariation:
        """Draw one variation; it draws the same number of values from `rng` for all settings."""
        flip, rotation_chance = rng.random(2)
        x, y, rotation_part = rng.uniform(-1, 1, 3)
        scale = rng.uniform(*self.scale)
        rotated = rotation_chance < self.rotation_probability
        return WholeImageVariation(
            flip=bool(flip < self.flip),
            scale=float(scale),
            rotation=float(rotation_part * self.rotation) if rotated else 0.0,
            place=(float(x), float(y)),
        )

    def choose(
        self,
        image_size: tuple[int, int],
        size: tuple[int, int],
        labels: Mapping[str, npt.NDArray[Any]],
        rng: np.random.Generator,
        view: ImageView = "letterbox",
    ) -> Affine:
        """Return the affine of one sample; `labels` are in the image's own pixels."""
        return fit_affine(image_size, size, self.sample_view(rng), view)
