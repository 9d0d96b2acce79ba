"""How long a run lasts of which nobody has said it."""

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

EPOCHS = 100  # through all samples: enough to learn few by heart, and no more
FEWEST, MOST = (
    500,
    10_000,
)  # steps: a warm-up alone takes some; what more brings is for the user to find worth it

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duration:
    """A number of optimizer steps, and why it is that."""

    steps: int
    reason: str

    @rank_zero_only
    def say(self) -> None:
        ways = "--trainer.max_steps N or --trainer.max_epochs N decide otherwise"
        _log.info("%s steps: %s (%s)", f"{self.steps:,}", self.reason, ways)


def is_open(trainer: Namespace) -> bool:
    """Whether the settings of a Trainer say nothing of how long it trains."""
    limits = (trainer.max_epochs, trainer.max_time, trainer.fast_dev_run or None)
    return trainer.max_steps == -1 and all(limit is None for limit in limits)


def choose_duration(settings: Namespace, data: Any) -> Duration:
    """Return the steps of a run whose settings leave them open (`is_open`).

    A run that goes on has those that it was begun with. Else the number of training samples decides, for which data of
    this package are set up now, before the Trainer is made.

    Args:
        settings: of `fit`.
        data: the datamodule.
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
    """Read the training data; how many workers datasets have is left to the Trainer, which knows the ranks."""
    workers = [part.num_workers for part in datamodule_parts(data).values()]
    data.prepare_data()
    data.setup("fit")
    for part, number in zip(datamodule_parts(data).values(), workers, strict=True):
        part.num_workers = number


def sensible_duration(samples: int | None, images: int) -> Duration:
    """100 epochs, 500 steps at least and 10,000 at most.

    Args:
        samples: to train on; None where that is not known.
        images: of a step, over all devices and accumulated batches.
    """
    if not samples:
        return Duration(MOST, "the data do not say beforehand how many samples they have")
    steps = min(max(-(-EPOCHS * samples // images), FEWEST), MOST)
    limit = {FEWEST: ", the fewest by default", MOST: ", the most by default"}.get(steps, "")
    epochs = steps * images / samples
    shown = f"{epochs:.0f}" if epochs >= 10 else f"{epochs:.2g}"
    return Duration(steps, f"{shown} epochs of {samples:,} samples, {images} a step{limit}")


def steps_before(ckpt_path: str | None) -> int | None:
    """Return what the run that goes on has in its configuration; None where nothing goes on, or it says nothing."""
    run = run_of(ckpt_path)
    if run is None:
        return None
    content = yaml.safe_load((Path(run) / "config.yaml").read_text(encoding="utf-8"))
    trainer = content.get("trainer") if isinstance(content, dict) else None
    steps = trainer.get("max_steps") if isinstance(trainer, dict) else None
    return steps if isinstance(steps, int) and steps > 0 else None


def devices_of(trainer: Namespace) -> int:
    """Devices that a run will have in all, as its settings and its launcher say."""
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
    """Unless told otherwise, validate ten times a run and at least every 500 optimizer steps.

    By epochs, few images would be validated without end and a million hardly ever.
    """
    if trainer.max_steps > 0 and trainer.val_check_interval is None and trainer.check_val_every_n_epoch == 1:
        trainer.check_val_every_n_epoch = None
        trainer.val_check_interval = (
            min(500, max(1, trainer.max_steps // 10)) * trainer.accumulate_grad_batches
        )
