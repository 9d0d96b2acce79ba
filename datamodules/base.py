"""What all datamodules share: stages, loaders that resume exactly, seeds and workers."""

import logging
import os
from collections.abc import Callable, Sequence, Sized
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset

from sapiens2_lit.data.ahead import SideStream
from sapiens2_lit.data.checks import (
    CHECKS,
    Report,
    Subject,
    expect_known,
    render_finding,
    run_checks,
)
from sapiens2_lit.data.datasets.pixel_seed import SEED, SeededPixels
from sapiens2_lit.data.held_out import PICTURE, HeldOut, Share
from sapiens2_lit.data.labels.confidence import Confidence
from sapiens2_lit.data.layouts.people import Choose, choose_by
from sapiens2_lit.data.loading import (
    TrainingLoader,
    collate,
    default_workers,
    evaluation_loader,
    training_loader,
)
from sapiens2_lit.data.pseudo.merge import pools_in
from sapiens2_lit.data.shards.order import shard_order
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.data.splits import Fold
from sapiens2_lit.errors import SettingError

OnBad = Literal["error", "skip"]

STAGES: dict[str, tuple[str, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": (),
}

_log = logging.getLogger(__name__)


class ImageDataModule(lightning.LightningDataModule):
    """Datasets by name (train, val, test), which `setup` fills, and their loaders.

    Attributes:
        new_every_epoch: training samples never repeat.
        labelled_elsewhere: stems of training pictures to leave out, because another dataset has true labels for them.
        takes_parts: `fold` and `share` can hold out a part of the training data for validation.
        same_labels_on_all_ranks: all training batches have the same kinds of labels, so ranks need not ask each other.

    Args:
        image_size: (height, width) of the input.
        batch_size: samples per batch, on each rank.
        num_workers: loader processes on each rank; null for a share of the CPUs, at most 8.
        seed: of order and augmentation; null for the seed of `seed_everything`, else 0.
        allow: names of label checks whose findings are intended: they neither stop nor warn.
        on_bad: what to do with single entries that cannot be used: `error` stops, `skip` leaves them out and counts
            them.
        confidence: how training uses the confidence of labels that a model predicted.
        shards: how packed data are read; no effect on folders.
        moves_ahead: whether, on CUDA, training batches of worker processes are copied to the device on a separate
            stream while the current step computes: the device then holds one batch more.

    Raises:
        SettingError: a setting is wrong; the message names it, what was found and what was expected.
    """

    new_every_epoch = False
    same_labels_on_all_ranks = True
    takes_parts = False

    def __init__(
        self,
        image_size: tuple[int, int],
        batch_size: int,
        num_workers: int | None,
        seed: int | None,
        allow: Sequence[str] = (),
        on_bad: OnBad = "error",
        confidence: Confidence | None = None,
        moves_ahead: bool = True,
        shards: ShardReading = ShardReading(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise SettingError(f"data.batch_size is {batch_size}, expected 1 or more.")
        if min(image_size) < 1:
            raise SettingError(f"data.image_size is {image_size}, expected (height, width) in pixels.")
        if num_workers is not None and num_workers < 0:
            raise SettingError(f"data.num_workers is {num_workers}, expected 0 or more, or null.")
        if seed is not None and seed < 0:
            raise SettingError(f"data.seed is {seed}, expected 0 or more, or null.")
        expect_known(allow, CHECKS)
        if on_bad not in ("error", "skip"):
            raise SettingError(f"data.on_bad is {on_bad!r}, expected error or skip.")
        self.allow = tuple(allow)
        self.on_bad: OnBad = on_bad
        self.confidence = confidence
        self.labelled_elsewhere: frozenset[str] = frozenset()
        self.moves_ahead = moves_ahead
        self.shards = shards
        self.fold: Fold | None = None
        self.share: Share | None = None
        self.report = Report()  # of the checks of the stages set up so far
        self.checks_on_setup = True  # False if all checks follow
        self.image_size = (image_size[0], image_size[1])
        self.batch_size = batch_size
        self.num_workers = num_workers
        self._seed = seed
        self.augment: Any = None  # variation of training samples
        self._device_steps: list[Any] | None = None
        self.datasets: dict[str, Any] = {}
        self.train_dataset_wrapper: Callable[[Any], Any] | None = (
            None  # for the training dataset, such as a feature cache's
        )

    @property
    def seed(self) -> int:
        """The seed of order and augmentation: the setting, else that of `seed_everything`, else 0."""
        return int(os.environ.get("PL_GLOBAL_SEED", 0)) if self._seed is None else self._seed

    @property
    def held_out(self) -> HeldOut | None:
        """The part of the training data to validate on; None if validation has its own files."""
        return self.share if self.fold is None else self.fold

    def choose_pictures(self, name: str, path: Path, group_by: str | None) -> Choose | None:
        """Return a function that tells which pictures of the training file belong to train or val; None for all.

        Args:
            name: train, val or test.
            path: the file, for messages.
            group_by: as in `group_keys`; folds consist of pictures if it is None.
        """
        if self.held_out is None or name == "test":
            return None
        setting = f"data.{'val' if self.fold is None else 'fold'} {self.held_out}"
        group_by = PICTURE if self.fold is not None and group_by is None else group_by
        return choose_by(self.held_out, name, path, setting, group_by)

    @property
    def augments_on_device(self) -> bool:
        """Whether pixels of training samples are varied after the loader (`augment.on_device`)."""
        return bool(getattr(self.augment, "on_device", False))  # not every augmentation has it

    def train_samples(self) -> int | None:
        """Return the number of different training samples, after `setup("fit")`; None before."""
        return len(self.datasets["train"]) if "train" in self.datasets else None

    def has_split(self, name: str) -> bool:
        """Whether train, val or test is used; a setting of null leaves a split out."""
        return True

    def split_exists(self, name: str) -> bool:
        """Whether a split is used and its files exist, so that `setup` can read it."""
        return self.has_split(name)

    def sample(self, name: str, index: int, epoch: int = 0) -> dict[str, Any]:
        """Return one sample of a split that was set up, as the network gets it: varied, with the keys of the batch."""
        dataset = self.datasets[name]
        if name == "train" and self.augments_on_device:
            dataset = SeededPixels(dataset, self.seed)
        batch = self.transfer_batch_to_device(collate([dataset[(epoch, index)]]), torch.device("cpu"), 0)
        return {key: value[0] for key, value in batch.items()}

    def check_subjects(self, names: Sequence[str]) -> list[Subject]:
        """Return what the checks examine in the given splits (train, val, test), after `setup` has read them."""
        return []

    def all_subjects(self, names: Sequence[str]) -> list[Subject]:
        """Return `check_subjects`, and for predicted labels also the pictures that another dataset holds out."""
        found = self.check_subjects(names)
        return [*found, *pools_in(getattr(self, "root", None), found)]

    def describe(self) -> str:
        """Return a few readable lines about what is trained on, after `setup("fit")`; may be empty."""
        return ""

    def run_quick_checks(self, names: Sequence[str]) -> None:
        """Run the cheap checks on splits that were just read; call it at the end of `setup`.

        It logs what is trained on, notes and warnings; `report` keeps all findings.

        Raises:
            LabelError: a check found an error; it lists all errors and warnings.
        """
        if not names or not self.checks_on_setup:
            return
        self.report = run_checks(self.all_subjects(names), CHECKS, allow=self.allow)
        self.report.raise_if_any()
        if "train" in names and (taught := self.describe()):
            _say(logging.INFO, taught)
        for finding in self.report.findings:
            _say(logging.WARNING if finding.warns else logging.INFO, render_finding(finding).strip())

    def train_sources(self) -> tuple[list[int], list[float]]:
        """Return the number of training samples of each source, and how often they occur in an epoch."""
        return [len(self.datasets["train"])], [1.0]

    def train_dataloader(self) -> TrainingLoader:
        sizes, weights = self.train_sources()
        dataset = self.datasets["train"]
        paths = getattr(dataset, "image_paths", None)  # if samples are read from files
        if self.augments_on_device:
            dataset = SeededPixels(dataset, self.seed)
        loader = training_loader(
            dataset if self.train_dataset_wrapper is None else self.train_dataset_wrapper(dataset),
            sizes=sizes,
            weights=weights,
            batch_size=self.batch_size,
            num_workers=self._workers(),
            seed=self.seed,
            shards=None if paths is None else shard_order(paths(), self.shards.window),
            **self._ranks(),
        )
        device = None if self.trainer is None else self.trainer.strategy.root_device
        if self.moves_ahead and loader.num_workers and device is not None and device.type == "cuda":
            loader.move = SideStream(device, frozenset({SEED}))
        return loader

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        return self._evaluation_loader("val") if "val" in self.datasets else []

    def test_dataloader(self) -> DataLoader[Any]:
        return self._evaluation_loader("test")

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Move a batch to the device, and vary its pixels there if `augment.on_device` is set."""
        seeds = batch.pop(SEED, None)  # stays on the host, which draws the variation
        batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        if seeds is not None:
            # imported here: kornia takes seconds that other runs need not wait for
            from sapiens2_lit.transforms.device import augment_batch, device_steps

            if self._device_steps is None:
                self._device_steps = device_steps(self.augment.pixel_steps())
            batch["image"] = augment_batch(batch["image"], seeds, self._device_steps)
        return batch

    def _evaluation_loader(self, name: str) -> DataLoader[Any]:
        ranks = self._ranks()
        dataset = Shard(self.datasets[name], **ranks) if ranks["num_replicas"] > 1 else self.datasets[name]
        return evaluation_loader(dataset, batch_size=self.batch_size, num_workers=self._workers(), **ranks)

    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return default_workers(1 if self.trainer is None else self.trainer.num_devices)

    def _ranks(self) -> dict[str, int]:
        """Return num_replicas and rank of data parallelism, which is not the world size if models are split."""
        return (self.trainer and self.trainer.distributed_sampler_kwargs) or {"num_replicas": 1, "rank": 0}


@rank_zero_only
def _say(level: int, text: str) -> None:
    _log.log(level, "%s", text)


class Shard(Dataset[dict[str, Any]]):
    """The part of an evaluation dataset that one of several ranks evaluates.

    Each sample says whether this rank evaluates it. If the samples do not divide evenly among ranks, the loader repeats
    the first ones (`evaluation_loader`). Without `evaluated`, metrics that sum over pixels would include them twice.

    Args:
        dataset: the whole dataset.
        num_replicas: number of ranks.
        rank: this rank; it evaluates sample i if i % num_replicas is rank.
    """

    def __init__(self, dataset: Dataset[dict[str, Any]], num_replicas: int, rank: int) -> None:
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank

    def __len__(self) -> int:
        assert isinstance(self.dataset, Sized)
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        own = index % self.num_replicas == self.rank
        return {**self.dataset[index], "evaluated": torch.tensor(own)}
