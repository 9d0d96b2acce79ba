"""Several training loaders as one, whose steps depend on schedule, seed, epoch and position alone."""

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
    """How many batches each dataset gives to one epoch.

    By `proportional`, its own number of batches times its weight, one at least. Else as many as the longest dataset
    has: shorter ones start over.
    """
    if schedule == "proportional":
        return {name: max(1, round(length * weights.get(name, 1.0))) for name, length in lengths.items()}
    return dict.fromkeys(lengths, max(lengths.values()))


def plan_epoch(schedule: Schedule, counts: Mapping[str, int], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """(S, D) which datasets, by their place in `counts`, each of the S steps of an epoch takes a batch of.

    D is 1, or by `all` the number of datasets. By `proportional` the order is drawn, each dataset as often as `counts`
    says: the same order wherever seed and epoch are the same.
    """
    places = np.arange(len(counts))
    if schedule == "all":
        return np.tile(places, (max(counts.values()), 1))
    if schedule == "round_robin":
        return np.tile(places, max(counts.values()))[:, None]
    drawn = np.random.default_rng((seed, epoch)).permutation(np.repeat(places, list(counts.values())))
    return drawn[:, None]


class Stream:
    """The batches of one training loader without end: after an epoch of its own, the next one follows.

    Args:
        loader: what gives at least one batch an epoch.
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
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.loader.load_state_dict(state)
        self.epoch, self._batches = state["told"], None

    def close(self) -> None:
        """End worker processes."""
        self._batches = self.loader._iterator = None


class Epoch:
    """Stands where Lightning looks for a sampler, to tell it the epoch."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class MixedLoader:
    """The steps of a training on several datasets; stopped after any step, it is resumed by Lightning's checkpoints.

    A step of one dataset is its batch, with the dataset's name as `dataset`; a step of all is
    {"batches": {name: batch}}. Each dataset goes through epochs of its own: where an epoch of the mixture ends in the
    midst of one, the next goes on there.

    Args:
        loaders: by the datasets' names; their order is that of the round.
        schedule: `round_robin`, `proportional` or `all`.
        weights: by `proportional`, factors on datasets' numbers of batches; 1 for those not named.
        seed: what the drawn order depends on, besides the epoch.
        resume: the state to go on from, if Lightning brings none: it does not at the end of an epoch.
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
        self._offset = 0  # what our epoch is ahead of the one that Lightning tells
        self._position = {"epoch": 0, "told": 0, "step": 0}
        self._resumes = False
        self._resume = resume

    def __len__(self) -> int:
        """Steps of an epoch."""
        return sum(self.counts.values()) if self.schedule != "all" else max(self.counts.values())

    def __iter__(self) -> Iterator[Batch]:
        # Nothing happens until the first step is asked for: Lightning makes the iterator of an epoch before it tells
        # which epoch it is.
        told, taken = self.sampler.epoch, 0
        if self._resume is not None:
            self.load_state_dict(self._resume)
        if self._resumes:
            self._resumes, epoch = False, self._position["epoch"]
            if told == self._position["told"]:
                taken = self._position["step"]
            else:
                epoch += 1
            self._offset = epoch - told  # Lightning may count an epoch too many after a restart
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
        """Where the training loop is in the mixture, and in each dataset."""
        datasets = {name: stream.state_dict() for name, stream in self.streams.items()}
        return {**self._position, **self._basis(), "datasets": datasets}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the state's last step; each dataset after its own last batch.

        With another schedule, seed or other datasets the steps are others: it warns, and every dataset that the state
        knows still goes on where it was.

        Raises:
            SettingError: the state is not of a mixture.
        """
        basis = self._basis()
        if missing := sorted({*basis, *self._position, "datasets"} - state_dict.keys()):
            raise SettingError(
                f"the checkpoint's data were not mixed as by MultitaskDataModule (no {', '.join(missing)}): a run "
                "cannot go on with other data; start a new one with --model.weights CHECKPOINT."
            )
        self._position = {key: state_dict[key] for key in self._position}
        changed = [name for name in basis if state_dict[name] != basis[name]]
        if changed:
            were = ", ".join(f"{name} was {state_dict[name]} and is {basis[name]}" for name in changed)
            _log.warning(
                "The mixture of datasets changed since the checkpoint (%s): this epoch's steps are others than they "
                "were; each dataset goes on where it was.",
                were,
            )
            self._position["step"] = min(self._position["step"], len(self))
        self._resume = None
        for name, state in state_dict["datasets"].items():
            if name in self.streams:
                self.streams[name].load_state_dict(state)
        self._resumes = True

    def close(self) -> None:
        """End worker processes."""
        for stream in self.streams.values():
            stream.close()

    def _plan(self, epoch: int) -> npt.NDArray[np.int64]:
        return plan_epoch(self.schedule, self.counts, self.seed, epoch)

    def _basis(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "seed": self.seed, "counts": dict(self.counts)}


class MixedEvaluation:
    """The evaluation batches of several datasets in turn, so that an evaluation cut short sees something of each.

    Args:
        loaders: by the datasets' names.
        prepare: what is done to a batch of the dataset of that name.
    """

    def __init__(
        self, loaders: Mapping[str, DataLoader[Any]], prepare: Callable[[str, Batch], Batch]
    ) -> None:
        self.loaders = dict(loaders)
        self.prepare = prepare

    def __len__(self) -> int:
        """Batches of all datasets."""
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
        """End worker processes."""
        for loader in self.loaders.values():
            loader._iterator = None


def check_weights(weights: Mapping[str, float] | None, schedule: str, names: Iterable[str]) -> None:
    """See to it that weights of datasets belong to known ones, and have an effect.

    Raises:
        SettingError: naming the setting.
    """
    if weights is None:
        return
    if schedule != "proportional":
        raise SettingError(
            f"data.weights has no effect with data.schedule {schedule}: it is of proportional."
        )
    if unknown := sorted(weights.keys() - set(names)):
        raise SettingError(
            f"data.weights: {', '.join(unknown)} is no dataset, expected some of {', '.join(names)}."
        )
    for name, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise SettingError(f"data.weights.{name} is {weight}, expected a number above 0.")
