"""Several datasets with different labels in one training."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from sapiens2_lit.data.checks import (
    CHECKS,
    Finding,
    LabelError,
    Report,
    expect_known,
    report_of,
    run_checks,
)
from sapiens2_lit.data.held_out import read_share
from sapiens2_lit.data.loading import default_workers
from sapiens2_lit.data.mixture import MixedEvaluation, MixedLoader, Schedule, check_weights
from sapiens2_lit.data.shards.roots import root_below
from sapiens2_lit.data.splits import read_fold
from sapiens2_lit.datamodules.base import STAGES, ImageDataModule, OnBad
from sapiens2_lit.datamodules.dataset_labels import DatasetLabels
from sapiens2_lit.datamodules.merging import leave_out_labelled, pools, true_labels_first
from sapiens2_lit.datamodules.shared_settings import IMAGE_SIZE, share_image, share_part
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.whole_image import ImageView, check_view
from sapiens2_lit.vocabularies import Classes, Skeleton

_log = logging.getLogger(__name__)


class MultitaskDataModule(lightning.LightningDataModule):
    """Named datasets, each with its own datamodule, combined step by step.

    A training batch comes from one dataset, as its datamodule gives it, with the dataset's name as `dataset`; with the
    schedule `all` it is {"batches": {name: batch}}. Each batch trains the heads whose labels it has. Validation and
    test go through all batches of all datasets, and metrics are over all of them.

    True labels win over labels that a model predicted (`predict --as_dataset`). A predicted dataset leaves out
    pictures (compared byte for byte) with true labels of the same kind in another dataset. Pictures that another
    dataset validates on are an error.

    An epoch ends
        with `round_robin` and `all`, after one pass through the longest dataset; shorter ones start over, in a new
        order.
        with `proportional`, when each dataset has given its number of batches times its weight.

    Args:
        datasets: the datamodules by name.
        schedule: what a step trains on: `round_robin`, one dataset after the other; `proportional`, one dataset drawn
            by its number of batches and weight, the same on all ranks; `all`, a batch of each.
        weights: with `proportional`, factors on how often datasets are used; 1 for those not named.
        image_size: (height, width) of the input, for all datasets.
        view: how whole images fit the input, `letterbox` or `stretch`, for all datasets of whole images: a model has
            one view for all heads.
        fold: cross-validation in all datasets: `0/5` validates on the first of five parts of each; null for each
            dataset's own setting.
        val: share of each dataset's training pictures to validate on, such as 0.1; null for each dataset's own setting.
        root: folder that relative roots of the datasets start from; null for the working directory.
        batch_size: samples per batch of each dataset, on each rank; null for each dataset's own setting.
        num_workers: loader processes on each rank for each dataset that does not set it; null for a share of the CPUs.
        seed: of the drawn order; null for the seed of `seed_everything`, else 0.
        allow: names of label checks whose findings are intended in all datasets, besides each dataset's own setting.
        on_bad: what to do with single samples that cannot be used, in all datasets: `error` stops, `skip` leaves them
            out and counts them; null for each dataset's own setting.

    Raises:
        SettingError: a setting is wrong; the message names it, what was found and what was expected.
    """

    def __init__(
        self,
        datasets: dict[str, ImageDataModule],
        schedule: Schedule = "proportional",
        weights: dict[str, float] | None = None,
        image_size: tuple[int, int] = IMAGE_SIZE,
        *,
        view: ImageView = "letterbox",
        fold: str | None = None,
        val: float | None = None,
        root: str | None = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        seed: int | None = None,
        allow: Sequence[str] = (),
        on_bad: OnBad | None = None,
    ) -> None:
        super().__init__()
        if not datasets:
            raise SettingError("data.datasets is empty, expected one datamodule or more by name.")
        if schedule not in ("round_robin", "proportional", "all"):
            raise SettingError(f"data.schedule is {schedule!r}, expected round_robin, proportional or all.")
        check_weights(weights, schedule, datasets)
        check_view(view)
        if batch_size is not None and batch_size < 1:
            raise SettingError(f"data.batch_size is {batch_size}, expected 1 or more, or null.")
        if num_workers is not None and num_workers < 0:
            raise SettingError(f"data.num_workers is {num_workers}, expected 0 or more, or null.")
        if on_bad not in (None, "error", "skip"):
            raise SettingError(f"data.on_bad is {on_bad!r}, expected error, skip or null.")
        expect_known(allow, CHECKS)
        self.allow = tuple(allow)
        self.on_bad = on_bad
        self.datasets = datasets
        self.labels = DatasetLabels(datasets)
        self.schedule: Schedule = schedule
        self.weights = dict(weights or {})
        self.image_size = (image_size[0], image_size[1])
        self.view = view
        self.num_workers = num_workers
        self._seed = seed
        self.report = Report()  # of the checks of all datasets
        self._loaders: list[MixedLoader | MixedEvaluation] = []
        self._training: MixedLoader | None = None
        self._resume: dict[str, Any] | None = None
        for name, data in datasets.items():
            share_image(name, data, self.image_size, view)
            share_part(name, data, read_fold(fold), read_share(val))
            data.allow = (*data.allow, *self.allow)
            data.on_bad = on_bad or data.on_bad
            data.batch_size = batch_size or data.batch_size
            if root is not None and hasattr(data, "root"):
                data.root = root_below(root, data.root, data.shards)

    @property
    def seed(self) -> int:
        """The seed of the drawn order: the setting, else that of `seed_everything`, else 0."""
        return int(os.environ.get("PL_GLOBAL_SEED", 0)) if self._seed is None else self._seed

    @property
    def same_labels_on_all_ranks(self) -> bool:
        """Whether training batches of every dataset have the same labels on all ranks.

        All processes use the same dataset at every step, so that they train the same heads.
        """
        return all(data.same_labels_on_all_ranks for data in self.datasets.values())

    def train_samples(self) -> int | None:
        """Return the number of training samples of all datasets, after `setup("fit")`; None before."""
        counts = [data.train_samples() for data in self.datasets.values()]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    # ------------------------------------------- what heads ask about the data, see DatasetLabels

    @property
    def skeleton(self) -> Skeleton | None:
        """The vocabulary of the keypoints of all datasets; None without keypoints."""
        return self.labels.skeleton

    @property
    def classes(self) -> Classes | None:
        """The vocabulary of the masks of all datasets; None without masks."""
        return self.labels.classes

    def count_classes(self) -> npt.NDArray[np.int64]:
        """Count the pixels of each class (C,) in the training masks of all datasets."""
        return self.labels.count_classes()

    def ground_truth(self, stage: str) -> dict[str, list[dict[str, Any]]] | None:
        """Return all labeled people of a stage (validate, test) as one COCO dict; None without any."""
        return self.labels.ground_truth(stage)

    # ------------------------------------------------------------------------ stages

    def prepare_data(self) -> None:
        for data in self.datasets.values():
            data.prepare_data()

    def setup(self, stage: str) -> None:
        """Set up every dataset that has the stage.

        Raises:
            SettingError, DataError: no dataset has the stage, or datasets have problems, which are listed by dataset.
        """
        if not (names := self._taking_part(stage)):
            raise SettingError(f"data.datasets: `{STAGES[stage][0]}` is null in all of them.")
        found: list[Finding] = []
        failed: list[Exception] = []
        for name in true_labels_first(names, self.datasets):
            data = self.datasets[name]
            data.trainer = self.trainer
            if data.num_workers is None:
                data.num_workers = self._workers()
            try:
                if stage == "fit" and "train" not in data.datasets:
                    leave_out_labelled(name, self.datasets)
                data.setup(stage)
                found += _of_dataset(name, data.report)
            except LabelError as error:
                found += _of_dataset(name, error.report)
            except (SettingError, DataError) as error:
                failed.append(type(error)(f"data.datasets.{name}: {error}"))
        if stage == "fit" and not failed:
            found += run_checks(pools(self.datasets), CHECKS, allow=self.allow).findings
        self.report = report_of(found)
        failed += [LabelError(self.report)] if self.report.errors else []
        if len(failed) > 1:
            raise DataError("\n".join(map(str, failed))) from failed[0]
        if failed:
            raise failed[0]

    def teardown(self, stage: str) -> None:
        for loader in self._loaders:
            loader.close()
        self._loaders = []
        for data in self.datasets.values():
            data.teardown(stage)

    def train_dataloader(self) -> MixedLoader:
        if getattr(self.trainer, "overfit_batches", 0):
            raise SettingError(
                "trainer.overfit_batches has no effect on MultitaskDataModule: name few samples in the datasets' "
                "`train` instead."
            )
        module: Any = getattr(self.trainer, "lightning_module", None)
        if hasattr(module, "named_heads"):
            taught: frozenset[str] = getattr(module, "taught", frozenset())
            without = bool(getattr(module, "learns_without_labels", False))
            self.labels.check({name: head.targets for name, head in module.named_heads()}, taught, without)
        loaders = {name: data.train_dataloader() for name, data in self.datasets.items()}
        mixed = MixedLoader(loaders, self.schedule, self.weights, self.seed, self._resume)
        for name, loader in loaders.items():
            _log.info(
                "%s: %d batches of %d samples; an epoch of %d steps takes %d.",
                name, len(loader), loader.batch_size, len(mixed), mixed.counts[name],
            )  # fmt: skip
        self._loaders.append(mixed)
        self._training, self._resume = mixed, None
        return mixed

    def val_dataloader(self) -> MixedEvaluation | list[DataLoader[Any]]:
        return self._evaluation("val") if self._having("val") else []

    def test_dataloader(self) -> MixedEvaluation:
        return self._evaluation("test")

    def state_dict(self) -> dict[str, Any]:
        """Return the position in each dataset; Lightning drops the loader's state at the end of an epoch."""
        return {} if self._training is None else {"mixture": self._training.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resume = state_dict.get("mixture")

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Move every batch to the device as its dataset does, which may vary pixels there."""
        if "batches" in batch:
            parts = batch["batches"]
            return {"batches": {name: self._transfer(part, device) for name, part in parts.items()}}
        return self._transfer(batch, device)

    def _transfer(self, batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
        name = batch.get("dataset", next(iter(self.datasets)))
        return self.datasets[name].transfer_batch_to_device(batch, device, 0)

    # ----------------------------------------------------------------------- details

    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        share = default_workers(1 if self.trainer is None else self.trainer.num_devices)
        return max(1, share // len(self.datasets))

    def _evaluation(self, name: str) -> MixedEvaluation:
        datasets = self._having(name)
        loaders = {key: data._evaluation_loader(name) for key, data in datasets.items()}
        loader = MixedEvaluation(loaders, partial(self.labels.for_ground_truth, name))
        self._loaders.append(loader)
        return loader

    def _having(self, name: str) -> dict[str, ImageDataModule]:
        """Return the datasets that were set up with samples of split `name` (train, val, test)."""
        return {key: data for key, data in self.datasets.items() if name in data.datasets}

    def _taking_part(self, stage: str) -> list[str]:
        return [name for name, data in self.datasets.items() if all(map(data.has_split, STAGES[stage][:1]))]


def _of_dataset(name: str, report: Report) -> list[Finding]:
    """Return the findings in one dataset, with its name in front."""
    return [replace(one, where=f"data.datasets.{name}, {one.where}") for one in report.findings]
