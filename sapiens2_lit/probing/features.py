"""Compute feature maps of every picture once, standardized by the training pictures.

Legend: B images, C channels, h and w cells.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import free_bytes
from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.data.feature_store import GIGABYTE, FeatureStore, size_text
from sapiens2_lit.errors import SettingError
from sapiens2_lit.models.normalize import normalize
from sapiens2_lit.probing.pictures import View
from sapiens2_lit.probing.settings import SPLITS

_FIRST = 64  # training pictures that determine the scale of stored values
_BATCH = 16
_DEAD = 1e-6  # a channel whose deviation is smaller, relative to the largest, is constant


class Extractor(Protocol):
    """A function from pictures to feature maps."""

    @property
    def about(self) -> dict[str, Any]:
        """Everything that maps depend on besides the pixels."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return maps (B, C, h, w), float32, of RGB 0..255 (B, 3, H, W)."""


class BackboneFeatures:
    """The last, normalized feature map of a frozen backbone.

    Args:
        backbone: Frozen, in evaluation mode.
        size: (height, width) that pictures are resized to, bicubic, unless they already have it.
        about: Facts that tell it from other backbones.
    """

    def __init__(self, backbone: Backbone, size: tuple[int, int], about: dict[str, Any]) -> None:
        self.backbone = backbone
        self.size = size
        self.about = {**about, **backbone.feature_settings(), "input_size": list(size)}

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != self.size:
            images = F.interpolate(images.float(), self.size, mode="bicubic", antialias=True).clamp(0, 255)
        return self.backbone(normalize(images, self.backbone.mean, self.backbone.std))[-1].float()


class Scale:
    """Standardization of every channel, without learned factors; constant channels become 0.

    A common factor on all features has no effect.

    Args:
        mean: (C,) over all cells of the training pictures.
        deviation: (C,) over the same cells.
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean = mean.float()
        alive = deviation > _DEAD * deviation.max()
        self.factor = torch.where(alive, 1 / torch.where(alive, deviation, 1), 0).float()

    def __call__(self, maps: Tensor) -> Tensor:
        mean, factor = self.mean.to(maps.device), self.factor.to(maps.device)
        return (maps - mean[:, None, None]) * factor[:, None, None]


def scale_of(batches: Callable[[], Iterable[Tensor]]) -> Scale:
    """Return the scale of maps (B, C, h, w), which are read twice, by sums in float64."""
    count, total = 0, torch.zeros(())
    for maps in batches():
        count += maps.numel() // maps.shape[1]
        total = total + maps.double().sum(dim=(0, 2, 3))
    mean, squares = total / count, torch.zeros_like(total)
    for maps in batches():
        squares += (maps.double() - mean[:, None, None]).square().sum(dim=(0, 2, 3))
    return Scale(mean, (squares / count).sqrt())


class StoredFeatures:
    """Maps of all pictures of a view.

    They are stored in bfloat16 after a first standardization, by at most 64 training pictures: otherwise channels with
    a large mean would lose most of their digits. When read, they are standardized again, by all training pictures.

    Attributes:
        channels: C.
        grid: (h, w).
        images_per_second: Of the extractor, with this device and batch; NaN if it had nothing to compute.

    Args:
        extractor: Makes maps.
        view: The pictures.
        folder: For the maps.
        device: Where the extractor runs and maps are wanted.
        limit: Largest size in GB.
    """

    def __init__(
        self, extractor: Extractor, view: View, folder: Path, device: torch.device, limit: float
    ) -> None:
        self.device = device
        counts = [len(view.images[split]) for split in SPLITS]
        self.starts = {split: sum(counts[:place]) for place, split in enumerate(SPLITS)}
        first = self._extract(extractor, view.images["train"][:1])
        self.channels, self.grid = first.shape[1], (first.shape[2], first.shape[3])
        about = {
            **extractor.about,
            "release": version("sapiens2-lit"),
            "data": view.fingerprint,
            "standardized": True,
            # everything else that a map may depend on shows in the first one
            "first": hashlib.sha256(first.numpy().tobytes()).hexdigest(),
        }
        self.store = FeatureStore(folder, about, sum(counts), (1, *first.shape[1:]), setting="cache")
        check_size(self.store, limit)
        self.store.open()
        self.images_per_second = self._fill(extractor, view)
        training = torch.arange(counts[0]).split(_BATCH)
        self.scale = scale_of(lambda: (self._read(rows) for rows in training))

    def split(self, name: str) -> "SplitFeatures":
        """Return the standardized maps of a split, by row."""
        return SplitFeatures(self, self.starts[name])

    def maps(self, rows: Tensor) -> Tensor:
        """Return standardized maps (B, C, H, W) of rows (B,) of the store."""
        return self.scale(self._read(rows).to(self.device))

    def _read(self, rows: Tensor) -> Tensor:
        return self.store.features[rows, 0].float()

    def _extract(self, extractor: Extractor, images: Tensor) -> Tensor:
        return extractor(images.to(self.device)).cpu()

    def _fill(self, extractor: Extractor, view: View) -> float:
        marks = torch.cat([view.marks[split] for split in SPLITS])
        missing = (self.store.marks != marks).nonzero()[:, 0]
        if not len(missing):
            return math.nan
        some = view.images["train"][:_FIRST]
        first = [self._extract(extractor, one) for one in some.split(_BATCH)]
        scale = scale_of(lambda: first)
        images = Pictures(view)
        seconds, done = 0.0, 0
        batches = missing.split(_BATCH)
        for place, rows in enumerate(tqdm(batches, desc="features", unit="batch", leave=False, disable=None)):
            interrupts.check()
            pictures = images.take(rows)
            began = time.perf_counter()
            maps = self._extract(extractor, pictures)
            if place or len(batches) == 1:  # the first one also compiles kernels
                seconds, done = seconds + time.perf_counter() - began, done + len(rows)
            self.store.write(rows, marks[rows], scale(maps)[:, None].to(torch.bfloat16))
        return done / seconds


class SplitFeatures:
    """Standardized maps of one split, by row."""

    def __init__(self, stored: StoredFeatures, start: int) -> None:
        self.stored = stored
        self.start = start

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the maps (B, C, h, w) of rows (B,) of the split."""
        return self.stored.maps(rows + self.start)


class Pictures:
    """The pictures of all splits in one sequence."""

    def __init__(self, view: View) -> None:
        self.places = [(split, row) for split in SPLITS for row in range(len(view.images[split]))]
        self.view = view

    def take(self, rows: Tensor) -> Tensor:
        """Return pictures (B, 3, H, W) uint8 of rows (B,)."""
        return torch.stack(
            [self.view.images[split][row] for split, row in (self.places[i] for i in rows.tolist())]
        )


def check_size(store: FeatureStore, limit: float) -> None:
    """Check that maps are small enough, before room for them is reserved.

    Raises:
        SettingError: They are larger than the limit, or than the free space on the disk.
    """
    what = f"{store.rows} feature maps of {store.shape[1]} x {store.shape[2]} x {store.shape[3]}"
    if store.bytes > limit * GIGABYTE:
        raise SettingError(
            f"cache_limit_gb: {what} take {size_text(store.bytes)}, the limit is {limit:g}: raise it, or take a "
            "smaller data.image_size or fewer images (data.train_images)"
        )
    if not store.folder.exists() and store.bytes > (free := free_bytes(store.folder.parent)):
        raise SettingError(
            f"cache: {what} take {size_text(store.bytes)}, {store.folder.parent} has {size_text(free)} free"
        )
