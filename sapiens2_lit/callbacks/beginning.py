"""Remove what a run has written before it began, if it ends before that."""

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
    """A record of the files in `output` before a run, so that a run that ends before it began leaves nothing.

    Args:
        output: Folder of the runs.

    Attributes:
        lock: That of the run's folder, once this process holds it.
    """

    def __init__(self, output: Path) -> None:
        self.output = output.absolute()
        self.before = set(self.output.glob("*"))
        self.events = set(self.output.glob(EVENTS))
        self.new = missing(self.output)
        self.lock: RunLock | None = None
        self.over = False

    def finish(self) -> None:
        """Note that the run has begun: `remove` now does nothing."""
        self.over = True

    def remove(self) -> None:
        """Remove the folder that this process made.

        The process id in the name of TensorBoard's file identifies it, too.
        """
        if self.over:
            return
        for events in set(self.output.glob(f"{EVENTS}.{os.getpid()}.*")) - self.events:
            if events.parent in self.before:  # of a resumed run
                events.unlink()
            else:
                shutil.rmtree(events.parent, ignore_errors=True)
        if self.lock is not None and self.lock.made_folder:
            holder = read(self.lock.folder / NAME) or this_process()
            if holder["pid"] == os.getpid():  # otherwise another run was faster
                shutil.rmtree(self.lock.folder, ignore_errors=True)
        for folder in self.new:
            with suppress(OSError):  # others may write there, too
                folder.rmdir()

    def remove_failed(self) -> None:
        """Remove the folder of a run that ended by an error, unless it has saved or logged something."""
        if self.lock is not None and has_results(self.lock.folder):
            return
        self.over = False
        self.remove()


def has_results(run: Path) -> bool:
    """Return whether a run's folder holds a checkpoint or a row of metrics."""
    return (run / "metrics.csv").exists() or any((run / "checkpoints").glob("*"))


def missing(folder: Path) -> list[Path]:
    """Return a folder and its parents that do not exist, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def preemption(settings: Any, before: Beginning | None) -> Preemption:
    """Return the callback that ends a run on a signal; a run that has not begun yet leaves nothing.

    Args:
        settings: Of the command, instantiated.
        before: The files before a `fit`; None for commands that do not train.
    """
    saves = before is not None and settings.trainer.enable_checkpointing is not False
    ends = Preemption(settings.last_checkpoint if saves else None)
    if before is not None:
        ends.beginning.callback(before.finish)
    interrupts.launches_ranks()
    return ends
