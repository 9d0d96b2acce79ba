"""Keep the newest checkpoint of a run, to resume from."""

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Writes `checkpoints/last.ckpt` every `every_n_steps` optimizer steps and at the end of training.

    It is written only right after a step, since accumulated gradients would be lost. The name always stands for a
    complete checkpoint: a file that is replaced, or, in a sharded run, a link to a folder `last-step=N.ckpt`, since a
    folder cannot be replaced. Lightning's `ModelCheckpoint(save_last=True)` guarantees neither. If a validation
    follows a step, the checkpoint is written after it: a resumed run does not repeat the validation, and would not
    know its score.

    Args:
        every_n_steps: Optimizer steps between two writes; 0 writes only at the end.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        self.every_n_steps = every_n_steps
        self.seen_step = self.saved_step = 0
        self.waits = False  # for a validation

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen_step = self.saved_step = trainer.global_step
        folder = checkpoint_folder(trainer)
        if trainer.is_global_zero:
            remove_unfinished(folder)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        step = trainer.global_step
        stepped, self.seen_step = step != self.seen_step, step
        due = self.every_n_steps > 0 and step % self.every_n_steps == 0
        if stepped and (due or is_last_step(trainer)):
            self.waits = validation_follows(trainer) and not is_last_step(trainer)
            if not self.waits:
                self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.waits:
            self.waits = False
            self.save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write now, unless this step is already written; every rank must call it."""
        if trainer.global_step == self.saved_step or getattr(trainer, "fast_dev_run", False):
            return
        self.saved_step = trainer.global_step
        last = checkpoint_folder(trainer) / "last.ckpt"
        if not getattr(trainer.strategy, "saves_folders", False):
            trainer.save_checkpoint(last)
        else:
            folder = last.with_name(f"last-step={self.saved_step}.ckpt")
            trainer.save_checkpoint(folder)
            if trainer.is_global_zero:
                link(last, folder)
        if trainer.is_global_zero:
            remove_others(last)


def checkpoint_folder(trainer: L.Trainer) -> Path:
    """Return the folder of the run's checkpoints; every rank must call it, since `log_dir` is broadcast."""
    return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"


def link(last: Path, folder: Path) -> None:
    """Let the name `last` point to the folder beside it, atomically."""
    new = last.with_name(f".{last.name}.link")
    new.unlink(missing_ok=True)
    new.symlink_to(folder.name, target_is_directory=True)
    new.replace(last)


def remove_others(last: Path) -> None:
    """Remove folders that `last` no longer points to."""
    for folder in last.parent.glob("last-step=*.ckpt"):
        if folder.is_dir() and folder.resolve() != last.resolve():
            shutil.rmtree(folder)


def remove_unfinished(folder: Path) -> None:
    """Remove files and folders of a run that was killed while it wrote."""
    for pattern in (".*.part", ".*.old"):
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def validation_follows(trainer: L.Trainer) -> bool:
    """Return whether the loop validates right after this batch."""
    loop = trainer.fit_loop
    return loop._data_fetcher is not None and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def is_last_step(trainer: L.Trainer) -> bool:
    """Return whether training ends with this batch.

    A checkpoint saved here, not later, has the right count of logged steps.
    """
    last_epoch = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
    return trainer.global_step == trainer.max_steps or (last_epoch and trainer.is_last_batch)
