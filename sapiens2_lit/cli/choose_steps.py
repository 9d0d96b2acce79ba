"""Choose the length of a run whose settings do not say it."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from sapiens2_lit.cli.find_run import run_of
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.datamodules.multitask import MultitaskDataModule
from sapiens2_lit.datamodules.parts import datamodule_parts
from sapiens2_lit.memory.launch import batch_size_of

EPOCHS = 100  # enough to memorize a small dataset, and no more
FEWEST, MOST = (
    500,
    10_000,
)  # steps: the warm-up alone takes some; whether more are worth it is the user's decision

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duration:
    """A number of optimizer steps, and the reason for it."""

    steps: int
    reason: str

    @rank_zero_only
    def say(self) -> None:
        """Log the steps, the reason, and the options that decide otherwise."""
        ways = "--trainer.max_steps N or --trainer.max_epochs N decide otherwise"
        _log.info("%s steps: %s (%s)", f"{self.steps:,}", self.reason, ways)


def is_open(trainer: Namespace) -> bool:
    """Return whether the settings of a Trainer leave open how long it trains."""
    limits = (trainer.max_epochs, trainer.max_time, trainer.fast_dev_run or None)
    return trainer.max_steps == -1 and all(limit is None for limit in limits)


def choose_duration(settings: Namespace, data: Any) -> Duration:
    """Return the steps of a run whose settings leave them open (`is_open`).

    A resumed run keeps the steps that it was started with. Otherwise the number of training samples decides; for that,
    data of this package are set up now, before the Trainer is made.

    Args:
        settings: Of `fit`.
        data: The datamodule.
    """
    if (before := steps_before(settings.ckpt_path)) is not None:
        return Duration(before, "as the run was begun with")
    if not isinstance(data, ImageDataModule | MultitaskDataModule):
        return Duration(MOST, "the data do not say beforehand how many samples they have")
    if any(part.new_every_epoch for part in datamodule_parts(data).values()):
        return Duration(MOST, "the data have new samples in every epoch")
    set_up(data)
    batch = batch_size_of(settings.data.get("init_args", Namespace())) or 1
    images = batch * (settings.trainer.accumulate_grad_batches or 1) * devices_of(settings.trainer)
    return sensible_duration(data.train_samples(), images)


def set_up(data: ImageDataModule | MultitaskDataModule) -> None:
    """Read the training data; the Trainer, which knows the ranks, still decides the datasets' workers."""
    workers = [part.num_workers for part in datamodule_parts(data).values()]
    data.prepare_data()
    data.setup("fit")
    for part, number in zip(datamodule_parts(data).values(), workers, strict=True):
        part.num_workers = number


def sensible_duration(samples: int | None, images: int) -> Duration:
    """Return 100 epochs, but at least 500 and at most 10,000 steps.

    Args:
        samples: For training; None if unknown.
        images: Per step, over all devices and accumulated batches.
    """
    if not samples:
        return Duration(MOST, "the data do not say beforehand how many samples they have")
    steps = min(max(-(-EPOCHS * samples // images), FEWEST), MOST)
    limit = {FEWEST: ", the fewest by default", MOST: ", the most by default"}.get(steps, "")
    epochs = steps * images / samples
    shown = f"{epochs:.0f}" if epochs >= 10 else f"{epochs:.2g}"
    return Duration(steps, f"{shown} epochs of {samples:,} samples, {images} a step{limit}")


def steps_before(ckpt_path: str | None) -> int | None:
    """Return the steps that the resumed run has in its configuration; None if no run is resumed, or it has none."""
    run = run_of(ckpt_path)
    if run is None:
        return None
    content = yaml.safe_load((Path(run) / "config.yaml").read_text(encoding="utf-8"))
    trainer = content.get("trainer") if isinstance(content, dict) else None
    steps = trainer.get("max_steps") if isinstance(trainer, dict) else None
    return steps if isinstance(steps, int) and steps > 0 else None


def devices_of(trainer: Namespace) -> int:
    """Return the number of devices of a run, from its launcher or its settings."""
    if (world := os.environ.get("WORLD_SIZE", "")).isdigit():
        return int(world)
    devices, nodes = trainer.devices, trainer.num_nodes or 1
    if isinstance(devices, list):
        return len(devices) * nodes
    if str(devices).isdigit():
        return int(devices) * nodes
    if "," in str(devices):
        return len([part for part in str(devices).split(",") if part.strip()]) * nodes
    gpus = torch.cuda.device_count() if trainer.accelerator in ("auto", "gpu", "cuda") else 0
    return max(1, gpus) * nodes


def validate_in_steps(trainer: Namespace) -> None:
    """Unless the settings say otherwise, validate ten times per run, and at least every 500 optimizer steps.

    Counted in epochs, a run on few images would validate all the time, and one on a million images hardly ever.
    """
    if trainer.max_steps > 0 and trainer.val_check_interval is None and trainer.check_val_every_n_epoch == 1:
        trainer.check_val_every_n_epoch = None
        trainer.val_check_interval = (
            min(500, max(1, trainer.max_steps // 10)) * trainer.accumulate_grad_batches
        )
