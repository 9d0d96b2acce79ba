"""Write PyTorch's archives directly to disk, without a copy in memory or in another folder."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SMALL = 2**20  # bytes for everything but tensors: names, settings, the archive's index


def write_archive(content: Any, file: Path) -> None:
    """Write what `torch.save` would write, with the CRC-32 of every record, one tensor after the other.

    Raises:
        OSError: The disk is full, or cannot be written to.
    """
    with file.open("wb", buffering=0) as opened:
        writer = _Writer(opened.fileno())
        torch.save(content, writer)  # type: ignore[arg-type]  # it only writes
        writer.check()
        os.fsync(opened.fileno())


class _Writer:
    """A file that keeps its errors until PyTorch's writer is done, since an exception inside the writer would abort."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data)
        size = left.nbytes
        while self.error is None and left.nbytes:
            try:
                left = left[os.write(self.descriptor, left) :]
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None: ...

    def check(self) -> None:
        if self.error is not None:
            raise self.error


def archive_bytes(content: Any) -> int:
    """Estimate the bytes of an archive on disk; a sharded tensor takes what this rank holds."""
    storages = {}
    for tensor in tensors_in(content):
        local = getattr(tensor, "_local_tensor", tensor)
        storage = local.untyped_storage()
        storages[storage.data_ptr() or id(storage)] = storage.nbytes()
    return sum(storages.values()) + SMALL


def tensors_in(content: Any) -> Iterator[Tensor]:
    """Yield all tensors, of any shape, in nested containers."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from tensors_in(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from tensors_in(value)
