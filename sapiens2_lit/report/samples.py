"""Choose the tested samples that a page shows, and load them again."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, SequentialSampler

from sapiens2_lit.data.mixture import MixedEvaluation
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch

Source = tuple[int, str]  # index of the loader, and the dataset's name if one loader has several


@dataclass(frozen=True)
class Ranked:
    """One tested sample: its loss, its place (loader and dataset, index in it), and its file."""

    loss: float
    source: Source
    index: int
    name: str


class SampleFinder:
    """The samples of the test loaders, in the order of the test.

    Args:
        loaders: `trainer.test_dataloaders`.

    Raises:
        SettingError: A loader's samples cannot be loaded again by an index.
    """

    def __init__(self, loaders: Any) -> None:
        self.loaders: dict[Source, DataLoader[Any]] = {}
        for place, loader in enumerate(loaders if isinstance(loaders, list | tuple) else [loaders]):
            parts = loader.loaders if isinstance(loader, MixedEvaluation) else {"": loader}
            self.loaders |= {(place, name): check(part) for name, part in parts.items()}
        self._orders = {source: list(loader.sampler) for source, loader in self.loaders.items()}
        self._taken = dict.fromkeys(self.loaders, 0)

    def take(self, batch: Batch, place: int) -> tuple[Source, list[int]]:
        """Return the source of a loader's next batch, and the indices of its samples in the dataset."""
        name = str(batch.get("dataset", ""))
        source = (place, name) if (place, name) in self.loaders else (place, "")
        first = self._taken[source]
        self._taken[source] = first + len(batch["image"])
        return source, self._orders[source][first : self._taken[source]]

    def again(self, found: Ranked) -> dict[str, Any]:
        """Return a tested sample, unbatched."""
        sample: dict[str, Any] = self.loaders[found.source].dataset[found.index]
        return sample


def check(loader: Any) -> DataLoader[Any]:
    """Return the loader, if it gives the samples of an indexed dataset in a fixed order.

    Raises:
        SettingError: It does not.
    """
    if isinstance(loader, DataLoader) and type(loader.batch_sampler) is BatchSampler:
        sampler = loader.sampler
        in_order = isinstance(sampler, DistributedSampler) and not sampler.shuffle
        if in_order or isinstance(sampler, SequentialSampler):
            return loader
    raise SettingError(
        f"--report shows the worst samples again, by their place in the test data; this {type(loader).__name__} has no "
        "fixed order of places: give a DataLoader without shuffling over a dataset with indices, or leave out --report."
    )


def merge(parts: list[dict[str, list[Ranked]]]) -> dict[str, list[Ranked]]:
    """Merge what several processes ranked, by head, worst first; a sample that two of them had occurs once."""
    merged: dict[str, dict[tuple[Source, int], Ranked]] = {}
    for part in parts:
        for head, ranked in part.items():
            merged.setdefault(head, {}).update({(one.source, one.index): one for one in ranked})
    return {head: sorted(found.values(), key=badness) for head, found in merged.items()}


def badness(found: Ranked) -> tuple[float, Source, int]:
    """Return a sort key: worst first, and a NaN loss before all others."""
    return (-math.inf if math.isnan(found.loss) else -found.loss), found.source, found.index


def worst_and_median(ranked: list[Ranked], count: int) -> tuple[list[Ranked], list[Ranked]]:
    """Return the first `count` of samples sorted by loss, and `count` around the middle, unless the first are all."""
    if len(ranked) <= count:
        return ranked, []
    middle = (len(ranked) - count) // 2
    return ranked[:count], ranked[middle : middle + count]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the names of files relative to their common folder; other names unchanged."""
    known = list(names)
    folders = {os.path.dirname(name) for name in known}  # noqa: PTH120 - a name may continue behind the file's
    if not known or len({os.path.isabs(folder) for folder in folders}) > 1:  # noqa: PTH117
        return {name: name for name in known}
    common = os.path.commonpath(folders)
    return {name: name.removeprefix(common).lstrip(os.sep) if common else name for name in known}


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return a batch with its tensors on a device."""
    return {key: v.to(device) if isinstance(v, torch.Tensor) else v for key, v in batch.items()}
