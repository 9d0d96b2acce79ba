"""Images without labels, as views for learning from them."""

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

TRIES = 20  # other images in place of one that cannot be used
VARIED = "varied"  # key of the seeds of views whose pixels are varied on the device
SHOWN = 10  # names of images that were left out

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """One image, or a part of one.

    Attributes:
        path: of the file.
        region: x, y, width, height in which views are cut; None for the whole.
        name: for messages, and by which validation images are chosen.
    """

    path: Path
    region: Region | None
    name: str


@dataclass(frozen=True)
class Views:
    """Which views a sample has.

    Attributes:
        size: (height, width) of global views.
        local_size: of local ones.
        num_global: of global ones.
        num_local: of local ones.
        settings: how they are cut.
    """

    size: tuple[int, int]
    local_size: tuple[int, int]
    num_global: int
    num_local: int
    settings: MultiCropAugmentation


class UnlabeledDataset(Dataset[dict[str, Any]]):
    """Views of images: `image` (G, 3, H, W) and `local` (L, 3, h, w) uint8, `seed` (int64), `sample`.

    An image that cannot be read, or is too small, is left out and counted; another one takes its place, drawn by the
    sample's own generator, so that a run that is resumed takes the same.

    Args:
        pictures: what to read.
        views: what to cut.
        least_side: of an image or part of one, in pixels.
        seed: of the run.
        training: random views; else the middle of each image.
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
        """Return the image of each sample."""
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
        """Return the image of that index, or the next one drawn that can be used, and the region to cut from.

        Raises:
            DataError: many in a row cannot be used.
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
    """Raise DataError where an image is smaller than a crop may be."""
    if min(width, height) < least:
        raise DataError(
            f"{name}: {height:.0f} x {width:.0f} pixels (height x width), expected {least} on the shorter side at "
            "least (data.least_side)"
        )


def stacked(views: Sequence[Image]) -> Tensor:
    """RGB uint8 views (H, W, 3) as (V, 3, H, W)."""
    return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).contiguous()
