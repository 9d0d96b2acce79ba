"""What training asks of the LightningDataModule in use; one without an answer is fine."""

from collections.abc import Mapping, Sized
from typing import Protocol, runtime_checkable

import lightning as L


@runtime_checkable
class CountsSamples(Protocol):
    """Knows how many different training samples there are, after `setup("fit")`; None before."""

    def train_samples(self) -> int | None: ...


@runtime_checkable
class HasDatasets(Protocol):
    """Its datasets by name (train, val, test, predict)."""

    datasets: Mapping[str, Sized]


@runtime_checkable
class KnowsRanks(Protocol):
    """Knows whether all ranks' training batches have the same kinds of labels, so that they need not ask each other."""

    @property
    def same_labels_on_all_ranks(self) -> bool: ...


def datamodule_of(trainer: L.Trainer | None) -> L.LightningDataModule | None:
    """Return the datamodule in use; None without a Trainer, or with bare loaders."""
    found: L.LightningDataModule | None = getattr(trainer, "datamodule", None)  # undeclared in Lightning
    return found


def train_samples(data: L.LightningDataModule | None) -> int | None:
    """Return number of training samples, None where that is not known."""
    if isinstance(data, CountsSamples):
        return data.train_samples()
    if isinstance(data, HasDatasets) and "train" in data.datasets:
        return len(data.datasets["train"])
    return None


def same_labels_on_all_ranks(data: L.LightningDataModule | None) -> bool:
    return isinstance(data, KnowsRanks) and data.same_labels_on_all_ranks
