"""Put other backgrounds behind the people of training samples."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from sapiens2_lit.data.files import find_folder
from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES, find_images, read_image
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.geometric import warp_image
from sapiens2_lit.transforms.whole_image import WholeImageVariation, fit_affine

Image = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.float32]


class Cutout(ABC):
    """The part of a training sample that stays when its background changes."""

    @abstractmethod
    def cut(self, pixels: Image, labels: Mapping[str, Tensor]) -> tuple[Shares, Shares]:
        """Return the color that stays (H, W, 3), 0..255, premultiplied, and the share that stays (H, W, 1)."""


class MaskCutout(Cutout):
    """Everything outside the background class, with edges one pixel wide.

    Args:
        background: index of that class.
    """

    def __init__(self, background: int) -> None:
        self.background = background

    def cut(self, pixels: Image, labels: Mapping[str, Tensor]) -> tuple[Shares, Shares]:
        stays = (labels["segmentation"].numpy() != self.background).astype(np.float32)
        share: Shares = np.asarray(cv2.blur(stays, (3, 3)), dtype=np.float32)[..., None]
        return pixels.astype(np.float32) * share, share


class MatteCutout(Cutout):
    """The matte: alpha with the foreground, or with the image's colors if there is no foreground."""

    def cut(self, pixels: Image, labels: Mapping[str, Tensor]) -> tuple[Shares, Shares]:
        alpha = labels["alpha"].numpy()[0, ..., None]
        outside = np.isnan(alpha)
        share: Shares = np.where(outside, np.float32(1), alpha)
        image = pixels.astype(np.float32)
        if "foreground" not in labels:
            return image * share, share
        foreground = labels["foreground"].numpy().transpose(1, 2, 0) * np.float32(255)
        return np.where(outside, image, foreground), share


class Backgrounds:
    """Photographs without people from a folder, to put behind the people of samples.

    Args:
        folder: with images; it may have subfolders.
        cutout: the part of a sample that stays.
        probability: probability that a sample's background is replaced.

    Raises:
        SettingError: the probability is outside 0..1.
        DataError: there are no images.
    """

    def __init__(self, folder: Path, cutout: Cutout, probability: float = 0.8) -> None:
        if not 0 <= probability <= 1:
            raise SettingError(
                f"data.background_probability is {probability}, expected a probability, 0 to 1."
            )
        paths = find_images(find_folder(folder, "data.backgrounds"))
        names = [path.relative_to(folder).as_posix() for path in paths]
        if not names:
            raise DataError(
                f"{folder} (`data.backgrounds`): no image in it, expected {', '.join(IMAGE_SUFFIXES)}."
            )
        self.folder = folder
        self.names = np.array(
            names
        )  # an array, not a list: worker processes would copy a list's strings one by one
        self.cutout = cutout
        self.probability = probability

    def replace(self, pixels: Image, labels: Mapping[str, Tensor], rng: np.random.Generator) -> Image:
        """Return the sample's pixels (H, W, 3) before another background, or unchanged; `labels` are the sample's."""
        if rng.random() >= self.probability:
            return pixels
        behind = self.sample((pixels.shape[0], pixels.shape[1]), rng)
        color, share = self.cutout.cut(pixels, labels)
        return np.clip(np.rint(color + (1 - share) * behind), 0, 255).astype(np.uint8)

    def sample(self, size: tuple[int, int], rng: np.random.Generator) -> Image:
        """Return a part of one of the photographs that fills (height, width), mirrored half of the time."""
        image = read_image(self.folder / str(self.names[rng.integers(len(self.names))]))
        shape = (image.shape[0], image.shape[1])
        x, y = rng.uniform(-1, 1, 2)
        sides = [have / want for have, want in zip(shape, size, strict=True)]
        fill = max(sides) / min(sides) * rng.uniform(1, 1.5)
        variation = WholeImageVariation(
            flip=bool(rng.random() < 0.5), scale=float(fill), place=(float(x), float(y))
        )
        return warp_image(image, fit_affine(shape, size, variation), size, border_value=None)
