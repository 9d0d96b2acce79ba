"""Keep the newest state of a run, to continue from."""

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Writes `checkpoints/last.ckpt` every so many optimizer steps and at the end of training.

    Only right after a step: inside a window of accumulated gradients these would be lost. What has that name is always
    whole: a file that is replaced, or, of a sharded run, a link to a folder `last-step=N.ckpt`, which cannot be.
    Lightning's own `ModelCheckpoint(save_last=True)` promises neither. Where a validation follows a step, the state is
    written after it: a run that goes on does not validate again, and would not know what was best.

    Args:
        every_n_steps: optimizer steps between two writes; 0 writes at the end only.
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
        """Write now, unless this step is written already; every rank must call it."""
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
    """Where the run's checkpoints lie; every rank must call it, since `log_dir` is agreed upon."""
    return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"


def link(last: Path, folder: Path) -> None:
    """Let the name `last` mean the folder beside it, in one step."""
    new = last.with_name(f".{last.name}.link")
    new.unlink(missing_ok=True)
    new.symlink_to(folder.name, target_is_directory=True)
    new.replace(last)


def remove_others(last: Path) -> None:
    """Remove folders that `last` no longer means."""
    for folder in last.parent.glob("last-step=*.ckpt"):
        if folder.is_dir() and folder.resolve() != last.resolve():
            shutil.rmtree(folder)


def remove_unfinished(folder: Path) -> None:
    """Remove what a run left behind that was killed while it wrote."""
    for pattern in (".*.part", ".*.old"):
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def validation_follows(trainer: L.Trainer) -> bool:
    """Whether the loop validates right after this batch."""
    loop = trainer.fit_loop
    return loop._data_fetcher is not None and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def is_last_step(trainer: L.Trainer) -> bool:
    """Whether training ends with this batch; a state saved here, not later, counts its logged steps right."""
    last_epoch = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
    return trainer.global_step == trainer.max_steps or (last_epoch and trainer.is_last_batch)
