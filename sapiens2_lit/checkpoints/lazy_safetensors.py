"""Weights in safetensors files that are read only where needed: each rank reads the part that it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sapiens2_lit.archives.safe_pickle import what_is
from sapiens2_lit.archives.verify import verify_file
from sapiens2_lit.checkpoints.format import TRAINING_ONLY, with_averages
from sapiens2_lit.checkpoints.layouts import Layout, in_our_names
from sapiens2_lit.checkpoints.reader import locate, read_meta, read_weights
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.parallel.dtensor import Part


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file that is not read yet."""

    file: Path
    name: str
    shape: torch.Size

    def read(self, part: Part) -> Tensor:
        """Return a part of the tensor, of the same shape as `part`; values stay in the mapped file until copied.

        Args:
            part: One slice for each dimension; empty for the whole tensor.
        """
        if any(one.start >= one.stop for one in part):
            return torch.empty([max(0, one.stop - one.start) for one in part])
        # Opened for this tensor only: pages that were read belong to this process's memory while the file is open.
        with safe_open(self.file, framework="pt") as opened:
            return opened.get_slice(self.name)[part] if part else opened.get_tensor(self.name)


@dataclass(frozen=True)
class JoinedTensor:
    """Two stored tensors, one after the other along the first dimension."""

    first: StoredTensor
    second: StoredTensor

    @property
    def shape(self) -> torch.Size:
        """The shape of both together."""
        return torch.Size([self.first.shape[0] + self.second.shape[0], *self.first.shape[1:]])

    def read(self, part: Part) -> Tensor:
        """Return a part of both together, of the same shape as `part`.

        Args:
            part: One slice for each dimension.
        """
        rows, *rest = part
        middle = self.first.shape[0]
        halves = (
            (self.first, slice(rows.start, min(rows.stop, middle))),
            (self.second, slice(max(rows.start, middle) - middle, rows.stop - middle)),
        )
        found = [half.read((own, *rest)) for half, own in halves if own.start < own.stop]
        return torch.cat(found) if len(found) != 1 else found[0]


Readable = StoredTensor | JoinedTensor | Tensor


class OpenedWeights(NamedTuple):
    """Tensors by their released names, read or not read yet, where they came from, and their layout."""

    tensors: Mapping[str, Readable]
    origin: str
    layout: Layout = "released"


def open_weights(
    source: str | Path, *, task: str | None = None, backbone: str | None = None
) -> OpenedWeights:
    """Open weights like `read_weights`, but read only names and shapes of safetensors files.

    Args:
        source: See `read_weights`.
        task: See `read_weights`.
        backbone: See `read_weights`.

    Raises:
        WeightsError: See `read_weights`.
    """
    files, origin = locate(source)
    if any(file.suffix != ".safetensors" for file in files):
        return OpenedWeights(*read_weights(source, task=task, backbone=backbone))
    metas = [read_meta(file) for file in files]
    if any(meta.get("backbone") or (meta.get("adapt") or {}).get("mode") == "lora" for meta in metas):
        return OpenedWeights(*read_weights(source, task=task, backbone=backbone))  # to be completed or merged
    tensors: dict[str, Readable] = {}
    for file in files:
        tensors.update(stored_tensors(file))
    if any(metas):
        averaged = with_averages(tensors)
        tensors = {name: one for name, one in averaged.items() if not name.startswith(TRAINING_ONLY)}
    renamed, layout = in_our_names(tensors, files[0], task, join=JoinedTensor)
    return OpenedWeights(renamed, origin, layout)


def stored_tensors(file: Path) -> dict[str, StoredTensor]:
    """Return the tensors of one file by name, without reading their values.

    Raises:
        WeightsError: It is not a safetensors file, or cannot be read.
    """
    try:
        verify_file(file)
        with safe_open(file, framework="pt") as opened:
            return {
                name: StoredTensor(file, name, torch.Size(opened.get_slice(name).get_shape()))
                for name in opened.keys()  # noqa: SIM118 (not a mapping)
            }
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file}: expected safetensors; {what_is(file)} ({error}).") from error
