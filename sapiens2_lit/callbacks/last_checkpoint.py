"""Keep the newest state of a run, to continue from."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Writes `checkpoints/last.ckpt` every so many optimizer steps, after validation and at the end of training.

    The file is replaced whole or not at all. Lightning's own `ModelCheckpoint(save_last=True)` writes it only
    together with another checkpoint and not at the end of a run.

    Args:
        every_n_steps: optimizer steps between two writes; 0 writes after validation and at the end only.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        self.every_n_steps = every_n_steps
        self.saved_step = -1

    def path(self, trainer: L.Trainer) -> Path:
        return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints" / "last.ckpt"

    def save(self, trainer: L.Trainer) -> None:
        step = trainer.global_step
        if getattr(trainer, "fast_dev_run", 0) or trainer.sanity_checking or step in (0, self.saved_step):
            return
        self.saved_step = step
        trainer.save_checkpoint(self.path(trainer))

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.save(trainer)
