"""Keep other runs out of a run's folder."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import lightning as L

from sapiens2_lit.callbacks.beginning import Beginning
from sapiens2_lit.callbacks.last_checkpoint import checkpoint_folder
from sapiens2_lit.checkpoints.run_lock import RunLock
from sapiens2_lit.errors import SettingError

_log = logging.getLogger(__name__)


class SoleWriter(L.Callback):
    """Holds the lock of the run's folder on rank 0, so that a second run cannot write there.

    It must come before all callbacks that write. Its creator must call `release` at the end, also after errors.
    """

    def __init__(self) -> None:
        self.lock: RunLock | None = None
        self.before: Beginning | None = None  # lets a refused run remove what its loggers have created

    def claim(self, find_folder: Callable[[], Path]) -> Path:
        """Take the lock of a run's folder before anything is read or started, and return the folder.

        If this is one process of several, `setup` takes the lock. If another run has taken a new folder at the same
        moment, the next one is taken.

        Raises:
            SettingError: A living run holds the lock.
        """
        while True:
            folder = find_folder()
            if is_one_of_several():
                return folder
            lock = RunLock(folder)
            try:
                lock.acquire(_log.warning)
            except SettingError:
                if find_folder() == folder:
                    raise
                continue
            self.hold(lock)
            return folder

    def hold(self, lock: RunLock) -> None:
        """Note the lock that was taken."""
        self.lock = lock
        if self.before is not None:
            self.before.lock = lock

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if getattr(trainer, "fast_dev_run", False):
            return  # nothing is written
        folder = checkpoint_folder(trainer).parent
        refusal: str | None = None
        if trainer.is_global_zero and self.lock is None:
            try:
                lock = RunLock(folder)
                lock.acquire(_log.warning)
                self.hold(lock)
            except SettingError as error:
                refusal = str(error)
                if self.before is not None:
                    self.before.remove()
        refusal = trainer.strategy.broadcast(refusal)  # all ranks end, none waits for rank 0
        if refusal is not None:
            raise SettingError(refusal)

    def on_train_batch_end(self, trainer: L.Trainer, *args: object, **kwargs: object) -> None:
        if self.lock is not None and self.lock.lost:
            raise SettingError(
                f"{self.lock.folder}: another run has taken over, since this one showed no sign of life for "
                f"{self.lock.stale:.0f} s; this run ends"
            )

    def release(self) -> None:
        """Release the folder."""
        if self.lock is not None:
            self.lock.release()


def is_one_of_several() -> bool:
    """Return whether a launcher has started this process beside others, by the variables that launchers set."""
    counts = (os.environ.get(name, "1") for name in ("WORLD_SIZE", "SLURM_NTASKS"))
    return "LOCAL_RANK" in os.environ or any(count != "1" for count in counts)
