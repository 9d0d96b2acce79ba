"""What a run writes before it begins, and how that is removed again."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from sapiens2_lit import interrupts
from sapiens2_lit.callbacks.preemption import Preemption
from sapiens2_lit.checkpoints.run_lock import NAME, RunLock, read, this_process

EVENTS = "*/events.out.tfevents.*"  # of TensorBoard, in a run's folder


class Beginning:
    """Notes what is in `output` before a run, so that one which ends before it began can leave nothing.

    Args:
        output: where the run folders are.

    Attributes:
        lock: that of the run's folder, once this process holds it.
    """

    def __init__(self, output: Path) -> None:
        self.output = output.absolute()
        self.before = set(self.output.glob("*"))
        self.events = set(self.output.glob(EVENTS))
        self.new = missing(self.output)
        self.lock: RunLock | None = None
        self.over = False

    def finish(self) -> None:
        """From now on `remove` does nothing: the run has begun."""
        self.over = True

    def remove(self) -> None:
        """Remove the folder that this process made; TensorBoard's file tells it by the process's number, too."""
        if self.over:
            return
        for events in set(self.output.glob(f"{EVENTS}.{os.getpid()}.*")) - self.events:
            if events.parent in self.before:  # of a run that goes on
                events.unlink()
            else:
                shutil.rmtree(events.parent, ignore_errors=True)
        if self.lock is not None and self.lock.made_folder:
            holder = read(self.lock.folder / NAME) or this_process()
            if holder["pid"] == os.getpid():  # else of a run that was faster
                shutil.rmtree(self.lock.folder, ignore_errors=True)
        for folder in self.new:
            with suppress(OSError):  # others may write there, too
                folder.rmdir()

    def remove_failed(self) -> None:
        """The same of a run that ended by an error, begun or not, unless it has saved or logged something."""
        if self.lock is not None and has_results(self.lock.folder):
            return
        self.over = False
        self.remove()


def has_results(run: Path) -> bool:
    """Whether a run's folder holds a checkpoint or a row of numbers."""
    return (run / "metrics.csv").exists() or any((run / "checkpoints").glob("*"))


def missing(folder: Path) -> list[Path]:
    """Return a folder and those above it that are not there, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def preemption(settings: Any, before: Beginning | None) -> Preemption:
    """Return what ends a run when a signal says so; one that has not begun yet leaves nothing.

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
