"""Save the newest state when the machine is about to be taken away."""

import logging
import os
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

import lightning as L

from sapiens2_lit.callbacks.last_checkpoint import LastCheckpoint
from sapiens2_lit.errors import Interrupted
from sapiens2_lit.parallel.collectives import greatest_over_ranks

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

_log = logging.getLogger(__name__)


class Preemption(L.Callback):
    """On SIGTERM or SIGUSR1, to any rank: finish the step, write `last.ckpt`, and end the run.

    In a SLURM job SIGUSR1 (`#SBATCH --signal=SIGUSR1@120`) also puts the job back into the queue. Lightning's own
    handling of these signals writes or communicates inside the signal handler, in the middle of whatever the ranks are
    sending each other; ours only takes a note, and all ranks agree after the step.

    Args:
        last: writes the state.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self.received = 0
        self.seen_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen_step = trainer.global_step
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            for each in SIGNALS:
                signal.signal(
                    each, self.take_note
                )  # in place of Lightning's; it restores the former ones at the end

    def take_note(self, number: int, frame: FrameType | None) -> None:
        self.received = number

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        step = trainer.global_step
        stepped, self.seen_step = step != self.seen_step, step
        if not stepped:  # gradients are being accumulated
            return
        number = greatest_over_ranks(self.received, trainer.strategy.root_device)
        if not number:
            return
        self.last.save(trainer)
        if trainer.is_global_zero:
            requeue(number)
        raise Interrupted(
            number, f"{signal.Signals(number).name}: saved after step {step}; go on with --ckpt_path last"
        )


def requeue(number: int) -> None:
    """Put this SLURM job, if it is one, back into the queue, where SIGUSR1 announced its end."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or number != signal.SIGUSR1:
        return
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        _log.error("scontrol requeue %s failed (%s): put the job back into the queue yourself.", job, reason)
    else:
        _log.info("SLURM job %s is back in the queue.", job)
