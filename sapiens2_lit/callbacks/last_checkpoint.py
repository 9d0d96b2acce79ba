"""Keep the newest state of a run, to continue from."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Writes `checkpoints/last.ckpt` every so many optimizer steps and at the end of training.

    Only right after a step: inside a window of accumulated gradients these would be lost. The file is replaced
    whole or not at all. Lightning's own `ModelCheckpoint(save_last=True)` promises neither.

    Args:
        every_n_steps: optimizer steps between two writes; 0 writes at the end only.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        self.every_n_steps = every_n_steps
        self.seen_step = self.saved_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen_step = self.saved_step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        step = trainer.global_step
        stepped, self.seen_step = step != self.seen_step, step
        due = self.every_n_steps > 0 and step % self.every_n_steps == 0
        if stepped and (due or is_last_step(trainer)):
            self.save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        if trainer.global_step == self.saved_step or getattr(trainer, "fast_dev_run", False):
            return
        self.saved_step = trainer.global_step
        folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
        part = folder / "last.ckpt.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            part.replace(folder / "last.ckpt")


def is_last_step(trainer: L.Trainer) -> bool:
    """Whether training ends with this batch; a state saved here, not later, counts its logged steps right."""
    last_epoch = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
    return trainer.global_step == trainer.max_steps or (last_epoch and trainer.is_last_batch)
