"""Feature maps of a frozen backbone on disk, memory-mapped, each with a mark of the pixels that it was computed from.

Legend: R rows (samples x views), M maps of a sample, C channels, h and w cells.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError

GIGABYTE = 1e9
_KEY = 16  # characters of a cache's name


class FeatureStore:
    """Rows of bfloat16 feature maps (M, C, h, w) in `FOLDER/KEY/`, for one backbone, kept between runs.

    A row is valid for the pixels that it was computed from and no others: its mark says which. Processes of one machine
    may share a store, each writing rows of its own.

    Args:
        folder: for caches of any backbone.
        about: what the features depend on besides the pixels; decides KEY.
        rows: R.
        shape: (M, C, h, w).
        limit: greatest size in GB (1e9 bytes).

    Raises:
        SettingError: it would be larger than `limit`, or than what is free on the disk.
    """

    def __init__(
        self, folder: Path, about: dict[str, Any], rows: int, shape: tuple[int, ...], limit: float
    ) -> None:
        self.about = {**about, "rows": rows, "shape": list(shape)}
        text = json.dumps(self.about, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:_KEY]
        self.rows, self.shape = rows, shape
        self.bytes = rows * torch.Size(shape).numel() * 2
        self.existed = (self.folder / "about.json").is_file()
        if self.bytes > limit * GIGABYTE:
            raise SettingError(
                f"feature_cache.limit_gb: {rows} rows of {shape} take {self.bytes / GIGABYTE:.1f} GB, the limit is "
                f"{limit:g}; raise it, or take fewer views"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if not self.existed and self.bytes > free:
            raise SettingError(
                f"feature_cache.folder: {rows} rows of {shape} take {self.bytes / GIGABYTE:.1f} GB, but "
                f"{self.folder} has {free / GIGABYTE:.1f} GB free"
            )
        self._open()
        (self.folder / "about.json").write_text(text)

    def _open(self) -> None:
        count = self.rows * torch.Size(self.shape).numel()
        # Files appear with holes in them, which read as zeros: no mark is 0.
        path = str(self.folder / "features.bf16")
        features = torch.from_file(path, shared=True, size=count, dtype=torch.bfloat16)
        self.features = features.view(self.rows, *self.shape)
        path = str(self.folder / "marks.int64")
        self.marks = torch.from_file(path, shared=True, size=self.rows, dtype=torch.int64)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("features", "marks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()  # the same memory in another process, not a copy of it

    def __len__(self) -> int:
        """Rows that are filled."""
        return int((self.marks != 0).sum())

    def read(self, row: int, mark: int) -> Tensor | None:
        """A copy of (M, C, h, w), or None where the row is empty or of other pixels."""
        return self.features[row].clone() if int(self.marks[row]) == mark else None

    def write(self, rows: Tensor, marks: Tensor, features: Tensor) -> None:
        """Fill rows: features (n, M, C, h, w) computed from the pixels that `marks` (n,) stand for."""
        self.marks[rows] = 0
        self.features[rows] = features
        self.marks[rows] = marks

    def others(self) -> dict[Path, int]:
        """Caches beside this one, of other backbones, sizes or data, and their sizes in bytes."""
        return {
            path.parent: (path.parent / "features.bf16").stat().st_size
            for path in sorted(self.folder.parent.glob("*/about.json"))
            if path.parent != self.folder
        }


def mark_of(image: Tensor) -> int:
    """What tells the pixels of an image from any others: a positive 63-bit hash of their values and their size."""
    digest = hashlib.blake2b(str(tuple(image.shape)).encode(), digest_size=8)
    digest.update(image.contiguous().numpy().data)
    return (int.from_bytes(digest.digest(), "big") >> 1) or 1
