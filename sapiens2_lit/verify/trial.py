"""Take a few real steps on made-up batches, to check a memory plan or measure time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import Strategy
from torch.utils.data import DataLoader, IterableDataset

from sapiens2_lit.heads.base import Batch, Head
from sapiens2_lit.memory.batches import example_batch
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.parallel.strategy import ShardedStrategy
from sapiens2_lit.training.module import SapiensModule


@dataclass
class Trial:
    """Observations of each optimizer step.

    Attributes:
        losses: Of the last batch of each step.
        seconds: From the end of one step to the end of the next, so one fewer.
    """

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def run_trial(
    module: SapiensModule,
    launch: TrainingSetup,
    steps: int = 2,
    callbacks: Sequence[L.Callback] = (),
) -> Trial:
    """Train with the given setup, in this process and those of its launcher.

    One batch more than needed is offered, since data loaders run ahead of the training.

    Args:
        module: That is trained.
        launch: Setup of the training.
        steps: Of the optimizer.
        callbacks: More callbacks.
    """
    with torch.device("meta"):
        heads = [make(1) for make in module.factory.heads.values()]
    clock = Clock()
    trainer = L.Trainer(
        accelerator="gpu" if launch.gpu else "cpu",
        devices=launch.devices,
        strategy=strategy_for(launch),
        max_steps=steps,
        precision=launch.precision,  # type: ignore[arg-type]  # one of PRECISIONS
        accumulate_grad_batches=launch.accumulate,
        callbacks=[clock, *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = Examples(heads, launch, steps * launch.accumulate + 1)
    trainer.fit(module, DataLoader(data, batch_size=None))
    return clock.trial


def strategy_for(launch: TrainingSetup) -> Strategy | str:
    """Return the Trainer's strategy for a setup."""
    if launch.sharded:
        return ShardedStrategy(cpu_offload=launch.offload, sync_each_batch=launch.sync_each_batch)
    return "auto"


class Examples(IterableDataset[Any]):
    """A number of batches of the right shapes, each in separate memory."""

    def __init__(self, heads: list[Head], launch: TrainingSetup, count: int) -> None:
        self.heads, self.launch, self.count = heads, launch, count

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.count):
            yield example_batch(self.heads, self.launch.batch_size, self.launch.image_size)


class Clock(L.Callback):
    """Waits for the device at the end of each optimizer step and reads the clock."""

    def __init__(self) -> None:
        self.trial = Trial()
        self.last: float | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self.trial.losses.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self.last is not None:
            self.trial.seconds.append(now - self.last)
        self.last = now
