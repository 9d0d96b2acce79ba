"""Feature maps of a frozen backbone on disk, memory-mapped, each with a mark of the pixels that it belongs to.

Legend: R rows (samples x views), M maps of a sample, C channels, h and w cells.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from sapiens2_lit.atomic_write import free_bytes, room
from sapiens2_lit.errors import SettingError

GIGABYTE = 1e9
_KEY = 16  # characters of a cache's name


class FeatureStore:
    """Rows of bfloat16 feature maps (M, C, h, w) in `FOLDER/KEY/`, for one backbone, kept between runs.

    A row is valid only for the pixels that it was computed from, which its mark identifies. Processes of one machine
    may share a store, also those of several runs. Open it before use.

    Args:
        folder: for caches of any backbone.
        about: what the features depend on besides the pixels; it determines KEY.
        rows: R.
        shape: (M, C, h, w).
        setting: name of the folder's setting in messages.

    Attributes:
        bytes: size of all rows.
    """

    features: Tensor
    marks: Tensor

    def __init__(
        self,
        folder: Path,
        about: dict[str, Any],
        rows: int,
        shape: tuple[int, ...],
        setting: str = "feature_cache.folder",
    ) -> None:
        self.setting = setting
        self.about = {**about, "rows": rows, "shape": list(shape)}
        text = json.dumps(self.about, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:_KEY]
        self.rows, self.shape = rows, shape
        self.bytes = rows * torch.Size(shape).numel() * 2

    def open(self) -> "FeatureStore":
        """Reserve the disk space, and map the files into memory.

        Raises:
            SettingError: the folder is not writable, or its disk has too little space.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            reserve(self.folder / "features.bf16", self.bytes)
            reserve(self.folder / "marks.int64", self.rows * 8)
            (self.folder / "about.json").write_text(json.dumps(self.about, sort_keys=True))
        except OSError as error:
            raise SettingError(
                f"{self.setting}: {self.folder}: {error.strerror}{room(error, self.folder, self.bytes)}"
            ) from error
        self._map()
        return self

    def _map(self) -> None:
        count = self.rows * torch.Size(self.shape).numel()
        # New files read as zeros: no mark is 0.
        path = str(self.folder / "features.bf16")
        features = torch.from_file(path, shared=True, size=count, dtype=torch.bfloat16)
        self.features = features.view(self.rows, *self.shape)
        path = str(self.folder / "marks.int64")
        self.marks = torch.from_file(path, shared=True, size=self.rows, dtype=torch.int64)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("features", "marks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()  # the same memory in another process, not a copy of it

    def __len__(self) -> int:
        """Return the number of filled rows."""
        return int((self.marks != 0).sum())

    def read(self, row: int, mark: int) -> Tensor | None:
        """Return a copy of a row (M, C, H, W), or None if it is empty or belongs to other pixels."""
        if int(self.marks[row]) != mark:
            return None
        found = self.features[row].clone()
        return found if int(self.marks[row]) == mark else None  # another run may have begun to write it

    def write(self, rows: Tensor, marks: Tensor, features: Tensor) -> None:
        """Fill rows with features.

        Args:
            rows: (N,) int64.
            marks: (N,) int64, from `mark_of` the pixels.
            features: (N, M, C, h, w).
        """
        with FileLock(self.folder / "lock"):  # two runs that vary images differently may share the store
            self.marks[rows] = 0
            self.features[rows] = features
            self.marks[rows] = marks


def check_sizes(stores: Iterable[FeatureStore], limit: float) -> None:
    """Check that the stores of one folder are small enough, before any of them is opened.

    Args:
        stores: of one folder, at least one.
        limit: greatest total size in GB (1e9 bytes).

    Raises:
        SettingError: they would be larger than the limit, or than the free space on the disk.
    """
    found = list(stores)
    size = sum(store.bytes for store in found)
    what = f"{sum(store.rows for store in found)} rows of {found[0].shape} take {size_text(size)}"
    if size > limit * GIGABYTE:
        raise SettingError(
            f"feature_cache.limit_gb: {what}, the limit is {limit:g}; raise it, or use fewer views"
        )
    folder = found[0].folder.parent
    free = free_bytes(folder)
    taken = sum(taken_bytes(store.folder / "features.bf16") for store in found)
    if size - taken > free:
        raise SettingError(
            f"feature_cache.folder: {what}, but {folder} has {free:,} bytes free, {size - taken:,} are needed"
        )


def size_text(size: int) -> str:
    """Return a size in bytes as text in GB or MB."""
    return f"{size / GIGABYTE:.2f} GB" if size >= GIGABYTE else f"{size / 1e6:.2f} MB"


def others(stores: Iterable[FeatureStore]) -> dict[Path, int]:
    """Return other caches in the folder of these stores, and their sizes in bytes."""
    used = {store.folder for store in stores}
    return {
        path.parent: (path.parent / "features.bf16").stat().st_size
        for path in sorted(next(iter(used)).parent.glob("*/about.json"))
        if path.parent not in used
    }


def taken_bytes(file: Path) -> int:
    """Return the disk space of a file in bytes: a file with holes takes less than its size."""
    if not file.is_file():
        return 0
    stat = file.stat()
    return int(getattr(stat, "st_blocks", stat.st_size // 512) * 512)


def reserve(file: Path, size: int) -> None:
    """Make a file of at least this size, with its space on the disk reserved if the system can do that.

    A write into a memory-mapped file without disk space would end the process without a message.
    """
    with file.open("ab") as opened:
        if not hasattr(os, "posix_fallocate"):
            opened.truncate(max(size, opened.tell()))
        elif taken_bytes(file) < size:
            try:
                os.posix_fallocate(opened.fileno(), 0, size)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                opened.truncate(max(size, opened.tell()))  # a file system that reserves nothing


def mark_of(image: Tensor) -> int:
    """Return a mark of an image's pixels, of any shape: a positive 63-bit hash of their values and their size."""
    digest = hashlib.blake2b(str(tuple(image.shape)).encode(), digest_size=8)
    digest.update(image.contiguous().numpy().data)
    return (int.from_bytes(digest.digest(), "big") >> 1) or 1
