"""What a run writes before it begins, and how that is removed again."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from sapiens2_lit import interrupts
from sapiens2_lit.callbacks.preemption import Preemption
from sapiens2_lit.callbacks.run_lock import SoleWriter


class Beginning:
    """Leaves nothing of a run that ends before it has any result, by a signal or an error.

    Args:
        output: where the run folders are.
        writer: holds the lock of the run's folder; a folder that this process did not lock is left alone.
    """

    def __init__(self, output: Path, writer: SoleWriter) -> None:
        self.writer = writer
        self.new = [
            folder for folder in (output.absolute(), *output.absolute().parents) if not folder.exists()
        ]

    def remove(self) -> None:
        """Remove the folder that this process made, or of a run that goes on its part of TensorBoard's files."""
        lock = self.writer.lock
        if lock is not None and lock.made_folder:
            shutil.rmtree(lock.folder, ignore_errors=True)
        elif lock is not None:
            for events in lock.folder.glob(f"events.out.tfevents.*.{os.getpid()}.*"):
                events.unlink()
        for folder in self.new:
            with suppress(OSError):  # others may write there, too
                folder.rmdir()

    def remove_failed(self) -> None:
        """The same after an error, unless the run has saved or logged something."""
        lock = self.writer.lock
        if lock is None or not has_results(lock.folder):
            self.remove()


def has_results(run: Path) -> bool:
    """Whether a run's folder holds a checkpoint or a row of numbers."""
    return (run / "metrics.csv").exists() or any((run / "checkpoints").glob("*"))


def preemption(command: str | None, settings: Any, beginning: Beginning | None) -> Preemption:
    """What ends a run when a signal says so; one that has not begun yet leaves nothing.

    Args:
        command: `fit`, `validate` or `test`.
        settings: of the command, instantiated.
        beginning: removes what a run has written that has not begun; None where nothing is written.
    """
    saves = command == "fit" and settings.trainer.enable_checkpointing is not False
    ends = Preemption(settings.last_checkpoint if saves else None)
    if beginning is not None:
        ends.beginning.enter_context(interrupts.undone(beginning.remove))
    interrupts.launches_ranks()
    return ends
