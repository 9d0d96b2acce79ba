"""Several training loaders as one, whose steps depend only on schedule, seed, epoch and position."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader

from sapiens2_lit.data.loading import TrainingLoader
from sapiens2_lit.errors import SettingError

Schedule = Literal["round_robin", "proportional", "all"]
Batch = dict[str, Any]

_log = logging.getLogger(__name__)


def batches_an_epoch(
    schedule: Schedule, lengths: Mapping[str, int], weights: Mapping[str, float]
) -> dict[str, int]:
    """Return how many batches each dataset gives to one epoch.

    With `proportional`, this is its number of batches times its weight, at least one. Otherwise it is the number of the
    longest dataset: shorter ones start over.

    Args:
        schedule: `round_robin`, `proportional` or `all`.
        lengths: number of batches of each dataset.
        weights: with `proportional`, factors on these numbers; 1 for datasets not named.
    """
    if schedule == "proportional":
        return {name: max(1, round(length * weights.get(name, 1.0))) for name, length in lengths.items()}
    return dict.fromkeys(lengths, max(lengths.values()))


def plan_epoch(schedule: Schedule, counts: Mapping[str, int], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the datasets of each step of an epoch, by their place in `counts`, as (S, D).

    D is 1, or with `all` the number of datasets. With `proportional` the order is drawn, and each dataset occurs as
    often as `counts` says: the same order for the same seed and epoch.

    Args:
        schedule: `round_robin`, `proportional` or `all`.
        counts: batches that each dataset gives to one epoch.
        seed: of the drawn order.
        epoch: of the drawn order.
    """
    places = np.arange(len(counts))
    if schedule == "all":
        return np.tile(places, (max(counts.values()), 1))
    if schedule == "round_robin":
        return np.tile(places, max(counts.values()))[:, None]
    drawn = np.random.default_rng((seed, epoch)).permutation(np.repeat(places, list(counts.values())))
    return drawn[:, None]


class Stream:
    """The batches of one training loader without end: after each of its epochs the next one follows.

    Args:
        loader: with at least one batch per epoch.
    """

    def __init__(self, loader: TrainingLoader) -> None:
        self.loader = loader
        self.epoch = 0
        self._batches: Iterator[Batch] | None = None

    def __next__(self) -> Batch:
        while True:
            if self._batches is None:
                self.loader.sampler.set_epoch(self.epoch)  # type: ignore[attr-defined]  # a TrainingSampler
                self._batches = iter(self.loader)
            for batch in self._batches:
                return batch
            self._batches, self.epoch = None, self.epoch + 1

    def state_dict(self) -> dict[str, int]:
        """Return the position of the loader."""
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the last batch of a state."""
        self.loader.load_state_dict(state)
        self.epoch, self._batches = state["told"], None

    def close(self) -> None:
        """End the worker processes."""
        self._batches = self.loader._iterator = None


class Epoch:
    """A stand-in for a sampler, in which Lightning sets the epoch."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Note the epoch that Lightning sets."""
        self.epoch = epoch


class MixedLoader:
    """The steps of training on several datasets; Lightning's checkpoints resume it after any step.

    A step of one dataset is its batch, with the dataset's name as `dataset`; a step of all is {"batches": {name:
    batch}}. Each dataset has its own epochs: if an epoch of the mixture ends in the middle of one, the next epoch
    continues there.

    Args:
        loaders: by the datasets' names; `round_robin` uses their order.
        schedule: `round_robin`, `proportional` or `all`.
        weights: with `proportional`, factors on datasets' numbers of batches; 1 for those not named.
        seed: the drawn order depends on it, and on the epoch.
        resume: the state to continue from, if Lightning provides none: it provides none at the end of an epoch.
    """

    def __init__(
        self,
        loaders: Mapping[str, TrainingLoader],
        schedule: Schedule,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
        resume: dict[str, Any] | None = None,
    ) -> None:
        self.streams = {name: Stream(loader) for name, loader in loaders.items()}
        self.schedule = schedule
        self.seed = seed
        lengths = {name: len(loader) for name, loader in loaders.items()}
        self.counts = batches_an_epoch(schedule, lengths, weights or {})
        self.sampler = Epoch()
        self._offset = 0  # difference between the epoch here and the one that Lightning sets
        self._position = {"epoch": 0, "told": 0, "step": 0}
        self._resumes = False
        self._resume = resume

    def __len__(self) -> int:
        """Return the number of steps of an epoch."""
        return sum(self.counts.values()) if self.schedule != "all" else max(self.counts.values())

    def __iter__(self) -> Iterator[Batch]:
        # Nothing happens until the first step is asked for, because Lightning makes the iterator of an epoch before it
        # sets the epoch.
        told, taken = self.sampler.epoch, 0
        if self._resume is not None:
            self.load_state_dict(self._resume)
        if self._resumes:
            self._resumes, epoch = False, self._position["epoch"]
            if told == self._position["told"]:
                taken = self._position["step"]
            else:
                epoch += 1
            self._offset = epoch - told  # Lightning may add an epoch too many after a restart
        epoch, names = told + self._offset, list(self.streams)
        for step, places in enumerate(self._plan(epoch)[taken:], start=taken + 1):
            batches = {names[place]: next(self.streams[names[place]]) for place in places}
            self._position = {"epoch": epoch, "told": told, "step": step}
            if self.schedule == "all":
                yield {"batches": {name: {**batch, "dataset": name} for name, batch in batches.items()}}
            else:
                for name, batch in batches.items():
                    yield {**batch, "dataset": name}

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the training loop in the mixture, and in each dataset."""
        datasets = {name: stream.state_dict() for name, stream in self.streams.items()}
        return {**self._position, **self._basis(), "datasets": datasets}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the state's last step; each dataset after its last batch.

        With another schedule, another seed or other datasets, the steps change: the loader then warns, and every
        dataset in the state still continues from its position.

        Raises:
            SettingError: the state does not belong to a mixture.
        """
        basis = self._basis()
        if missing := sorted({*basis, *self._position, "datasets"} - state_dict.keys()):
            raise SettingError(
                f"the checkpoint's data were not mixed as by MultitaskDataModule (no {', '.join(missing)}): a run "
                "cannot resume with other data; start a new one with --model.weights CHECKPOINT."
            )
        self._position = {key: state_dict[key] for key in self._position}
        changed = [name for name in basis if state_dict[name] != basis[name]]
        if changed:
            were = ", ".join(f"{name} was {state_dict[name]} and is {basis[name]}" for name in changed)
            _log.warning(
                "The mixture of datasets changed since the checkpoint (%s): the steps of this epoch differ from "
                "those planned before; each dataset continues from its position.",
                were,
            )
            self._position["step"] = min(self._position["step"], len(self))
        self._resume = None
        for name, state in state_dict["datasets"].items():
            if name in self.streams:
                self.streams[name].load_state_dict(state)
        self._resumes = True

    def close(self) -> None:
        """End the worker processes."""
        for stream in self.streams.values():
            stream.close()

    def _plan(self, epoch: int) -> npt.NDArray[np.int64]:
        return plan_epoch(self.schedule, self.counts, self.seed, epoch)

    def _basis(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "seed": self.seed, "counts": dict(self.counts)}


class MixedEvaluation:
    """The evaluation batches of several datasets in turn, so that a shortened evaluation has batches of each.

    Args:
        loaders: by the datasets' names.
        prepare: called with a dataset's name and batch; returns the batch to use.
    """

    def __init__(
        self, loaders: Mapping[str, DataLoader[Any]], prepare: Callable[[str, Batch], Batch]
    ) -> None:
        self.loaders = dict(loaders)
        self.prepare = prepare

    def __len__(self) -> int:
        """Return the number of batches of all datasets."""
        return sum(len(loader) for loader in self.loaders.values())

    def __iter__(self) -> Iterator[Batch]:
        running = {name: iter(loader) for name, loader in self.loaders.items()}
        while running:
            for name, batches in list(running.items()):
                batch = next(batches, None)
                if batch is None:
                    del running[name]
                else:
                    yield self.prepare(name, {**batch, "dataset": name})

    def close(self) -> None:
        """End the worker processes."""
        for loader in self.loaders.values():
            loader._iterator = None


def check_weights(weights: Mapping[str, float] | None, schedule: str, names: Iterable[str]) -> None:
    """Check that weights belong to known datasets, and have an effect.

    Args:
        weights: by the datasets' names, or None.
        schedule: `round_robin`, `proportional` or `all`.
        names: of the datasets.

    Raises:
        SettingError: they do not; it names the setting.
    """
    if weights is None:
        return
    if schedule != "proportional":
        raise SettingError(
            f"data.weights has no effect with data.schedule {schedule}: only proportional uses it."
        )
    if unknown := sorted(weights.keys() - set(names)):
        raise SettingError(
            f"data.weights: {', '.join(unknown)} is no dataset, expected some of {', '.join(names)}."
        )
    for name, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise SettingError(f"data.weights.{name} is {weight}, expected a number above 0.")
