"""Write PyTorch's archives straight to the disk: no copy in memory, none in another folder."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SMALL = 2**20  # bytes beside tensors: names, settings, the archive's index


def write_archive(content: Any, file: Path) -> None:
    """Write what `torch.save` would, with the CRC-32 of every record, one tensor after the other.

    Raises:
        OSError: the disk is full, or cannot be written to.
    """
    with file.open("wb", buffering=0) as opened:
        writer = _Writer(opened.fileno())
        torch.save(content, writer)  # type: ignore[arg-type]  # it only writes
        writer.check()
        os.fsync(opened.fileno())


class _Writer:
    """A file whose errors wait until PyTorch's writer is done, which an exception in its middle would abort."""

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
    """Return what an archive of it takes on the disk, about; a sharded tensor counts with what this rank holds."""
    storages = {}
    for tensor in tensors_in(content):
        local = getattr(tensor, "_local_tensor", tensor)
        storage = local.untyped_storage()
        storages[storage.data_ptr() or id(storage)] = storage.nbytes()
    return sum(storages.values()) + SMALL


def tensors_in(content: Any) -> Iterator[Tensor]:
    """All tensors in containers."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from tensors_in(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from tensors_in(value)
