"""Which tested samples a page shows, and how to get them again."""

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

Source = tuple[int, str]  # place of the loader, and the dataset's name where one loader has several


@dataclass(frozen=True)
class Ranked:
    """One tested sample: its loss, where it is (loader and dataset, index in it), and its file."""

    loss: float
    source: Source
    index: int
    name: str


class SampleFinder:
    """The samples of the test loaders, in the order in which they are tested.

    Args:
        loaders: `trainer.test_dataloaders`.

    Raises:
        SettingError: a loader's samples cannot be asked for again by an index.
    """

    def __init__(self, loaders: Any) -> None:
        self.loaders: dict[Source, DataLoader[Any]] = {}
        for place, loader in enumerate(loaders if isinstance(loaders, list | tuple) else [loaders]):
            parts = loader.loaders if isinstance(loader, MixedEvaluation) else {"": loader}
            self.loaders |= {(place, name): check(part) for name, part in parts.items()}
        self._orders = {source: list(loader.sampler) for source, loader in self.loaders.items()}
        self._taken = dict.fromkeys(self.loaders, 0)

    def take(self, batch: Batch, place: int) -> tuple[Source, list[int]]:
        """Where the samples of the next batch of a loader are: its source, and indices into that's dataset."""
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
    """Return the loader, if it gives the samples of a dataset with indices in an order that it keeps."""
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
    """Return what several processes ranked, by head, worst first; a sample that two of them had counts once."""
    merged: dict[str, dict[tuple[Source, int], Ranked]] = {}
    for part in parts:
        for head, ranked in part.items():
            merged.setdefault(head, {}).update({(one.source, one.index): one for one in ranked})
    return {head: sorted(found.values(), key=badness) for head, found in merged.items()}


def badness(found: Ranked) -> tuple[float, Source, int]:
    """Sorts the worst first; what has no loss that is a number is the worst."""
    return (-math.inf if math.isnan(found.loss) else -found.loss), found.source, found.index


def worst_and_median(ranked: list[Ranked], count: int) -> tuple[list[Ranked], list[Ranked]]:
    """Of samples sorted by their loss the first `count`, and `count` around the middle, unless these are all."""
    if len(ranked) <= count:
        return ranked, []
    middle = (len(ranked) - count) // 2
    return ranked[:count], ranked[middle : middle + count]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Files as they are called within the folder that all of them lie in; other names as they are."""
    known = list(names)
    folders = {os.path.dirname(name) for name in known}  # noqa: PTH120 - a name may go on behind the file's
    if not known or len({os.path.isabs(folder) for folder in folders}) > 1:  # noqa: PTH117
        return {name: name for name in known}
    common = os.path.commonpath(folders)
    return {name: name.removeprefix(common).lstrip(os.sep) if common else name for name in known}


def moved(batch: Batch, device: torch.device) -> Batch:
    return {key: v.to(device) if isinstance(v, torch.Tensor) else v for key, v in batch.items()}
