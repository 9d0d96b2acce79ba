"""What a run writes before it begins, and how that is removed again."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from sapiens2_lit import interrupts
from sapiens2_lit.callbacks.preemption import Preemption
from sapiens2_lit.checkpoints.run_lock import NAME, read, this_process


class Beginning:
    """Notes what is in `output` before a run, so that one which ends before it began can leave nothing.

    Args:
        output: where the run folders are.
    """

    def __init__(self, output: Path) -> None:
        self.output = output.absolute()
        self.before = set(self.output.glob("*"))
        self.new = missing(self.output)
        self.of_loggers: list[Path] = []
        self.over = False

    def watch(self, loggers: list[Logger]) -> None:
        """Note the folders, not there yet, that loggers besides TensorBoard's will make."""
        for logger in loggers:
            folder = None if isinstance(logger, TensorBoardLogger) else getattr(logger, "log_dir", None)
            if folder is not None and not Path(folder).exists():
                self.of_loggers.append(Path(folder).absolute())
                self.new += missing(Path(folder).absolute().parent)

    def finish(self) -> None:
        """From now on `remove` does nothing: the run has begun."""
        self.over = True

    def remove(self) -> None:
        """Remove the folders that this process made; TensorBoard's file tells its own by the process's number."""
        if self.over:
            return
        for events in self.output.glob(f"*/events.out.tfevents.*.{os.getpid()}.*"):
            if events.parent in self.before:  # of a run that goes on
                events.unlink()
            else:
                shutil.rmtree(events.parent, ignore_errors=True)
        for folder in self.of_loggers:  # unless it is of a run that was faster
            if (read(folder / NAME) or this_process())["pid"] == os.getpid():
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self.new:
            with suppress(OSError):  # others may write there, too
                folder.rmdir()


def missing(folder: Path) -> list[Path]:
    """A folder and those above it that are not there, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def preemption(settings: Any, before: Beginning | None) -> Preemption:
    """What ends a run when a signal says so; one that has not begun yet leaves nothing.

    Args:
        settings: of the command, instantiated.
        before: what was there before a `fit`; None for commands that do not train.
    """
    saves = before is not None and settings.trainer.enable_checkpointing is not False
    ends = Preemption(settings.last_checkpoint if saves else None)
    if before is not None:
        ends.beginning.callback(before.finish)
    interrupts.launches_ranks()
    return ends
