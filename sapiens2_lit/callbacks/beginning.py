"""What a run writes before it begins, and how that is removed again."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from sapiens2_lit import interrupts
from sapiens2_lit.callbacks.preemption import Preemption


class Beginning:
    """Notes what is in `output` before a run, so that one which ends before it began can leave nothing.

    Args:
        output: where the run folders are.
    """

    def __init__(self, output: Path) -> None:
        self.output = output.absolute()
        self.before = set(self.output.glob("*"))
        self.new = [folder for folder in (self.output, *self.output.parents) if not folder.exists()]

    def remove(self) -> None:
        """Remove the folder that this process made, which TensorBoard's file in it tells by the process's number."""
        for events in self.output.glob(f"*/events.out.tfevents.*.{os.getpid()}.*"):
            if events.parent in self.before:  # of a run that goes on
                events.unlink()
            else:
                shutil.rmtree(events.parent, ignore_errors=True)
        for folder in self.new:
            with suppress(OSError):  # others may write there, too
                folder.rmdir()


def preemption(command: str | None, settings: Any) -> Preemption:
    """What ends a run when a signal says so; one that has not begun yet leaves nothing.

    Args:
        command: `fit`, `validate`, `test` or `predict`.
        settings: of the command, instantiated.
    """
    saves = command == "fit" and settings.trainer.enable_checkpointing is not False
    ends = Preemption(settings.last_checkpoint if saves else None)
    if command == "fit":
        ends.beginning.enter_context(interrupts.undone(Beginning(Path(settings.output)).remove))
    interrupts.launches_ranks()
    return ends
