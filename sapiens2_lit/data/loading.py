"""Samplers and loaders whose batches depend only on seed, epoch and position.

The key of a training sample is (epoch, index), so that a dataset needs no state: its result does not depend on the
worker, on the number of workers, or on earlier samples. A training loader counts the batches that the training loop has
taken, and continues from there after a restart.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, default_collate

from sapiens2_lit.data.ahead import Move, move_ahead
from sapiens2_lit.data.freed_memory import keep_freed_memory
from sapiens2_lit.data.shards.order import ShardOrder
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.interrupts import end_by_parent_alone, left_to_parent

Key = tuple[int, int]

_log = logging.getLogger(__name__)


def split_key(key: int | Key, length: int) -> Key:
    """Return (epoch, index) of a sample, in epoch 0 for a number alone; raises IndexError past the end."""
    epoch, index = key if isinstance(key, tuple) else (0, int(key))
    if not 0 <= index < length:
        raise IndexError(f"sample {index} of {length}")
    return epoch, index


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the source of all random numbers of one training sample.

    Args:
        seed: of the run.
        epoch: of the sample.
        index: of the sample.
    """
    return np.random.default_rng((seed, epoch, index))


class TrainingSampler(DistributedSampler[Any]):
    """Keys (epoch, index) in an order that depends on the seed and the epoch, split evenly among ranks.

    It is derived from DistributedSampler, because Lightning then keeps it and sets its epoch.

    Attributes:
        offset: difference between the epoch of the keys and the epoch set by `set_epoch`.
        skip: number of this rank's samples that the next iteration skips.

    Args:
        dataset: the concatenation of one or more sources.
        sizes: number of samples of each source, in the dataset's order.
        weights: how often a source's samples occur in an epoch: 2 for twice, 0.5 for a random half of them.
        seed: the orders depend on it, and on the epoch.
        num_replicas, rank: number of ranks, and this rank.
        shards: the places of samples in shards, of which few are then read at a time; None for any order.

    Raises:
        SettingError: a weight is negative, or no sample is left.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        sizes: Sequence[int],
        weights: Sequence[float],
        *,
        seed: int,
        num_replicas: int = 1,
        rank: int = 0,
        shards: ShardOrder | None = None,
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=True, seed=seed, drop_last=True)
        if any(not weight >= 0 for weight in weights):
            raise SettingError(f"data.sources: weights are {list(weights)}, expected numbers of 0 or more.")
        self.sizes = list(sizes)
        self.counts = [round(size * weight) for size, weight in zip(sizes, weights, strict=True)]
        self.num_samples = sum(self.counts) // num_replicas
        self.total_size = self.num_samples * num_replicas
        self.shards = shards
        self.offset = 0
        self.skip = 0

    def __iter__(self) -> Iterator[Key]:
        skip, self.skip = self.skip, 0
        epoch = self.epoch + self.offset
        if self.shards is None:
            order = self._order(epoch)[self.rank : self.total_size : self.num_replicas]
        else:
            rng = np.random.default_rng((self.seed, epoch))
            order = self.shards.draw(self.sizes, self.counts, rng, self.num_replicas)[self.rank]
        return iter([(epoch, index) for index in order[skip:].tolist()])

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        rng = np.random.default_rng((self.seed, epoch))
        chosen, start = [np.empty(0, dtype=np.int64)], 0
        for size, count in zip(self.sizes, self.counts, strict=True):
            rounds = [rng.permutation(size) for _ in range(-(-count // size) if size else 0)]
            chosen += [start + np.concatenate(rounds)[:count]] if rounds else []
            start += size
        return rng.permutation(np.concatenate(chosen))


class TrainingLoader(DataLoader[Any]):
    """A DataLoader that Lightning's checkpoints resume after the last batch that the training loop has taken."""

    move: Move | None = None  # moves batches to the device ahead of their use
    _position: dict[str, int] | None = None
    _resume: dict[str, int] | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator, not DataLoader's iterator
        # Nothing happens before the first batch: Lightning makes the iterator before it sets the sampler's epoch.
        told, taken = getattr(self.sampler, "epoch", 0), 0
        resume, self._resume = self._resume, None
        if isinstance(self.sampler, TrainingSampler):  # Lightning's overfit_batches sets another one
            if resume is not None:
                epoch = resume["epoch"]
                if told == resume["told"]:
                    taken = resume["batches"]
                else:
                    epoch += 1
                self.sampler.offset = epoch - told  # Lightning may add an epoch too many after a restart
            self.sampler.skip = taken * (self.batch_size or 1)
        with left_to_parent():
            batches: Iterator[Any] = super().__iter__()
        for batch in batches if self.move is None else move_ahead(batches, self.move):
            taken += 1
            self._position = self._state(told, taken)
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the position of the training loop: epoch, batches taken in it, and what both depend on."""
        return self._resume or self._position or self._state(getattr(self.sampler, "epoch", 0), 0)

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue after the state's last batch, with the next iteration of its epoch.

        With another batch size, number of ranks, seed or dataset, the order of the samples changes: the loader then
        continues after the same number of samples, and warns.

        Raises:
            SettingError: the state belongs to another kind of data.
        """
        basis, state = self._basis(), {"order": 0, **state_dict}
        if missing := sorted({*basis, "epoch", "told", "batches"} - state.keys()):
            raise SettingError(
                f"the checkpoint belongs to other data (no {', '.join(missing)} in its loader's state): a run cannot "
                "resume with this data; start a new one with --model.weights CHECKPOINT."
            )
        changed = [name for name in basis if state[name] != basis[name]]
        if changed and state["batches"]:
            were = ", ".join(f"{name} was {state[name]} and is {basis[name]}" for name in changed)
            _log.warning(
                "The training data changed since the checkpoint (%s): this epoch repeats some samples and "
                "leaves out others; the following epochs are complete.",
                were,
            )
            samples = state["batches"] * state["global_batch_size"]
            state["batches"] = min(samples // basis["global_batch_size"], len(self))
        self._resume = state | basis
        if isinstance(self.sampler, TrainingSampler):
            self.sampler.set_epoch(state["told"])

    def _state(self, told: int, taken: int) -> dict[str, int]:
        offset = getattr(self.sampler, "offset", 0)
        return {"epoch": told + offset, "told": told, "batches": taken, **self._basis()}

    def _basis(self) -> dict[str, int]:
        sampler = self.sampler
        replicas = getattr(sampler, "num_replicas", 1)
        samples = sampler.total_size if isinstance(sampler, TrainingSampler) else len(self)
        shards = getattr(sampler, "shards", None)
        return {
            "global_batch_size": (self.batch_size or 1) * replicas,
            "seed": getattr(sampler, "seed", 0),
            "samples": samples,
            "order": 0 if shards is None else shards.fingerprint,
        }


class EvaluationLoader(DataLoader[Any]):
    """A DataLoader whose workers leave signals to their parent."""

    def __iter__(self) -> Any:
        with left_to_parent():
            return super().__iter__()


def training_loader(
    dataset: Dataset[Any],
    *,
    sizes: Sequence[int],
    weights: Sequence[float],
    batch_size: int,
    num_workers: int,
    seed: int,
    num_replicas: int = 1,
    rank: int = 0,
    shards: ShardOrder | None = None,
) -> TrainingLoader:
    """Return full, shuffled batches of a dataset that takes keys (epoch, index).

    Args:
        dataset: the concatenation of one or more sources.
        sizes: number of samples of each source.
        weights: how often a source's samples occur in an epoch.
        batch_size: samples per batch, on each rank.
        num_workers: loader processes.
        seed: of the order.
        num_replicas: number of ranks.
        rank: this rank.
        shards: the places of samples in shards; None for any order.

    Raises:
        SettingError: there are fewer samples than one batch on every rank needs.
    """
    sampler = TrainingSampler(
        dataset, sizes, weights, seed=seed, num_replicas=num_replicas, rank=rank, shards=shards
    )
    if sampler.num_samples < batch_size:
        ranks = f" on each of {num_replicas} ranks" if num_replicas > 1 else ""
        raise SettingError(
            f"data.batch_size is {batch_size}{ranks}, but an epoch has only {sum(sampler.counts)} training "
            f"samples: set it to {max(1, sampler.num_samples)} or less."
        )
    return TrainingLoader(
        dataset, batch_size=batch_size, sampler=sampler, drop_last=True, **_worker_settings(num_workers, seed)
    )


def evaluation_loader(
    dataset: Dataset[Any],
    *,
    batch_size: int,
    num_workers: int,
    num_replicas: int = 1,
    rank: int = 0,
) -> DataLoader[Any]:
    """Return batches of all samples in order, read by index; nothing is dropped.

    Rank r gets samples r, r + R, ... If samples do not divide evenly, the first ones are repeated, so that all R ranks
    take the same number of steps. Metrics can recognize a repeated sample by its index.

    Args:
        dataset: takes an index.
        batch_size: samples per batch, on each rank.
        num_workers: loader processes.
        num_replicas: R.
        rank: this rank.
    """
    sampler: DistributedSampler[Any] = DistributedSampler(dataset, num_replicas, rank, shuffle=False)
    return EvaluationLoader(dataset, batch_size=batch_size, sampler=sampler, **_worker_settings(num_workers))


def default_workers(processes: int = 1) -> int:
    """Return the workers for one of `processes` training processes on a machine: its share of the CPUs, at most 8."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, available // max(1, processes)))


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Combine samples with the same keys into a batch: tensors stacked, strings as a list; else raise DataError."""
    for sample in samples[1:]:
        if odd := samples[0].keys() ^ sample.keys():
            names = [str(which.get("sample", "a sample")) for which in (samples[0], sample)]
            raise DataError(
                f"only one of {names[0]} and {names[1]} has {sorted(odd)}: samples of one dataset must have "
                "the same kinds of labels."
            )
    batch: dict[str, Any] = default_collate(samples)
    return batch


def _worker_settings(num_workers: int, seed: int = 0) -> dict[str, Any]:
    return {
        # a separate generator: making an iterator must not draw from dropout's, which a resumed run restores
        "generator": torch.Generator().manual_seed(seed),
        "num_workers": num_workers,
        "collate_fn": collate,
        "pin_memory": torch.cuda.is_available(),
        "persistent_workers": num_workers > 0,
        "worker_init_fn": _start_worker,
    }


def _start_worker(worker: int) -> None:
    # The workers are the parallelism; OpenCV's threads would compete for the same cores.
    cv2.setNumThreads(0)
    keep_freed_memory()
    end_by_parent_alone()
