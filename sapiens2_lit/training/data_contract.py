"""What training asks of the LightningDataModule in use; it need not answer."""

from collections.abc import Mapping, Sized
from typing import Protocol, runtime_checkable

import lightning as L


@runtime_checkable
class CountsSamples(Protocol):
    """Knows how many different training samples there are."""

    def train_samples(self) -> int | None:
        """Return the number of training samples after `setup("fit")`; None before."""


@runtime_checkable
class HasDatasets(Protocol):
    """Has datasets by name (train, val, test, predict)."""

    datasets: Mapping[str, Sized]


@runtime_checkable
class KnowsRanks(Protocol):
    """Knows whether all ranks' training batches have the same kinds of labels, so that ranks need not ask others."""

    @property
    def same_labels_on_all_ranks(self) -> bool:
        """Whether they do."""


def datamodule_of(trainer: L.Trainer | None) -> L.LightningDataModule | None:
    """Return the datamodule in use; None without a Trainer, or with loaders only."""
    found: L.LightningDataModule | None = getattr(trainer, "datamodule", None)  # not declared by Lightning
    return found


def train_samples(data: L.LightningDataModule | None) -> int | None:
    """Return the number of training samples, None if it is not known."""
    if isinstance(data, CountsSamples):
        return data.train_samples()
    if isinstance(data, HasDatasets) and "train" in data.datasets:
        return len(data.datasets["train"])
    return None


def same_labels_on_all_ranks(data: L.LightningDataModule | None) -> bool:
    """Return whether the training batches of all ranks are known to have the same kinds of labels."""
    return isinstance(data, KnowsRanks) and data.same_labels_on_all_ranks
