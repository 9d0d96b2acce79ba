"""Views of images without labels, to learn from."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sapiens2_lit.data.loading import Key, sample_generator, split_key
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.data.sample_counter import Tally
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.pixels import Image
from sapiens2_lit.transforms.views import (
    MultiCropAugmentation,
    Region,
    ViewColors,
    cut_view,
    draw_view,
    plain_view,
)

TRIES = 20  # other images tried in place of one that cannot be used
VARIED = "varied"  # key of the seeds of views whose pixels are varied on the device
SHOWN = 10  # names of left-out images in messages

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """One image, or a part of one.

    Attributes:
        path: of the file.
        region: x, y, width, height of the part in which views are cut; None for the whole image.
        name: for messages, and for the choice of validation images.
    """

    path: Path
    region: Region | None
    name: str


@dataclass(frozen=True)
class Views:
    """The views of a sample.

    Attributes:
        size: (height, width) of global views.
        local_size: (height, width) of local views.
        num_global: number of global views.
        num_local: number of local views.
        settings: how they are cut.
    """

    size: tuple[int, int]
    local_size: tuple[int, int]
    num_global: int
    num_local: int
    settings: MultiCropAugmentation


class UnlabeledDataset(Dataset[dict[str, Any]]):
    """Views of images: `image` (G, 3, H, W) and `local` (L, 3, h, w) uint8, `seed` (int64), `sample`.

    An image that cannot be read, or is too small, is left out and reported. The sample's own generator draws another
    one, so that a resumed run uses the same one.

    Args:
        pictures: the images or parts of images.
        views: the views to cut.
        least_side: shortest side of an image or part, in pixels.
        seed: of the run.
        training: whether views are random; otherwise they show the middle of each image.
    """

    def __init__(
        self, pictures: Sequence[Picture], views: Views, least_side: int, seed: int, training: bool
    ) -> None:
        self.pictures, self.views = list(pictures), views
        self.least_side, self.seed, self.training = least_side, seed, training
        self.colors = ViewColors(views.settings.colors)
        self.left_out = Tally(len(self.pictures))

    def __len__(self) -> int:
        return len(self.pictures)

    def image_paths(self) -> Iterator[Path]:
        """Yield the image of each sample."""
        return (picture.path for picture in self.pictures)

    def __getitem__(self, key: int | Key) -> dict[str, Any]:
        epoch, index = split_key(key, len(self))
        rng = sample_generator(self.seed, epoch, index)
        picture, image, region = self.usable(index, rng)
        if not self.training:
            view = cut_view(image, plain_view(region, self.views.size), self.views.size)
            fixed = torch.tensor(index, dtype=torch.int64)
            return {"image": stacked([view]), "seed": fixed, "sample": picture.name}
        colors, views, settings = self.views.settings.colors, self.views, self.views.settings
        found: dict[str, Any] = {}
        for name, count, size, scale in (
            ("image", views.num_global, views.size, settings.global_scale),
            ("local", views.num_local, views.local_size, settings.local_scale),
        ):
            if not count:
                continue
            cut = [cut_view(image, draw_view(region, size, scale, settings, rng), size) for _ in range(count)]
            if (name == "local" or colors.on_globals) and not colors.on_device:
                cut = [self.colors(view, rng) for view in cut]
            found[name] = stacked(cut)
        found["seed"] = torch.tensor(int(rng.integers(2**63)), dtype=torch.int64)
        return {**found, "sample": picture.name}

    def usable(self, index: int, rng: np.random.Generator) -> tuple[Picture, Image, Region]:
        """Return the image at an index, or the next drawn one that can be used, and the region to cut from.

        Raises:
            DataError: many images in a row cannot be used.
        """
        for _ in range(TRIES):
            try:
                return self.pictures[index], *self.read(index)
            except DataError as error:
                if self.left_out.note(index):
                    _log.warning("left out: %s", error)
                last = error
                index = int(rng.integers(len(self)))
        raise DataError(f"{TRIES} images in a row cannot be used, the last one because: {last}")

    def read(self, index: int) -> tuple[Image, Region]:
        """Return an image and the region in it.

        Raises:
            DataError: it cannot be read, or is too small.
        """
        picture = self.pictures[index]
        image = read_image(picture.path)
        height, width = image.shape[:2]
        x, y, w, h = picture.region or (0.0, 0.0, float(width), float(height))
        right, bottom = min(float(width), x + w), min(float(height), y + h)
        x, y = max(0.0, x), max(0.0, y)
        check_side(picture.name, right - x, bottom - y, self.least_side)
        return image, (x, y, right - x, bottom - y)


def check_side(name: str, width: float, height: float, least: int) -> None:
    """Check that an image is not smaller than the smallest crop.

    Args:
        name: of the image, for messages.
        width: in pixels.
        height: in pixels.
        least: least shorter side, in pixels.

    Raises:
        DataError: it is smaller.
    """
    if min(width, height) < least:
        raise DataError(
            f"{name}: {height:.0f} x {width:.0f} pixels (height x width), expected at least {least} on the shorter "
            "side (data.least_side)"
        )


def stacked(views: Sequence[Image]) -> Tensor:
    """Return RGB uint8 views (H, W, 3) as one tensor (V, 3, H, W)."""
    return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).contiguous()
