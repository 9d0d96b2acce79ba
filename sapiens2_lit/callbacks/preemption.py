"""End a run in an orderly way on a signal: Ctrl-C, or a machine that is about to be taken away."""

import logging
import os
import signal
import subprocess
from contextlib import ExitStack
from typing import Any

import lightning as L

from sapiens2_lit import interrupts
from sapiens2_lit.callbacks.last_checkpoint import LastCheckpoint
from sapiens2_lit.errors import Interrupted
from sapiens2_lit.parallel.collectives import greatest_over_ranks

_log = logging.getLogger(__name__)


class Preemption(L.Callback):
    """On Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 to any rank, finishes the step, writes `last.ckpt`, and ends the run.

    This holds from the first sanity check on; before it a signal ends the process at once. An evaluation ends after
    the current batch, and so does a validation during training: it leaves no score, and is repeated when the run is
    resumed. In a SLURM job SIGUSR1 (`#SBATCH --signal=SIGUSR1@120`) also requeues the job. Lightning's own handling of
    these signals writes or communicates inside the signal handler, while the ranks may be communicating; this callback
    only notes the signal, and all ranks agree after the step.

    Args:
        last: Writes the checkpoint of `fit`; None if nothing is to be saved.
    """

    def __init__(self, last: LastCheckpoint | None) -> None:
        self.last = last
        self.seen_step = 0
        self.beginning = ExitStack()  # closed when the run begins
        self._listening = False
        self._answered = ExitStack()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen_step = trainer.global_step
        self.listen()

    def listen(self, *args: Any) -> None:
        """Let signals wait, from now on, until this run asks for them."""
        if not self._listening:
            self._listening = True
            self._answered.enter_context(interrupts.answered())  # does nothing if the command did so before
            interrupts.hold()
            self.beginning.close()
        interrupts.take_back()  # from Lightning, which restores the former handlers at the end

    on_sanity_check_start = listen  # type: ignore[assignment]  # accepts the hook's arguments
    on_validation_start = on_test_start = on_predict_start = listen  # type: ignore[assignment]  # as above

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        step = trainer.global_step
        stepped, self.seen_step = step != self.seen_step, step
        if stepped:  # otherwise gradients are being accumulated
            self.end_if_told(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.end_if_told(trainer)

    def end_if_told(self, trainer: L.Trainer) -> None:
        """End training if any rank got a signal; every rank must call it, with no gradients accumulated.

        Raises:
            Interrupted: One did; the checkpoint for resuming is written.
        """
        number = greatest_over_ranks(interrupts.received(), trainer.strategy.root_device)
        if not number:
            return
        found = f"stopped by {interrupts.name_of(number)} after step {trainer.global_step}"
        if self.last is None or getattr(trainer, "fast_dev_run", False):
            raise Interrupted(number, f"{found}; nothing is saved, as checkpoints are switched off")
        self.last.save(trainer)
        if trainer.fit_loop.done:  # a job put back into the queue would find nothing to do
            raise Interrupted(number, f"{found}, the last one, which is saved; training is done")
        if trainer.is_global_zero:
            requeue(number)
        raise Interrupted(number, f"{found}, which is saved; go on with --ckpt_path last")

    def end_validation(self, trainer: L.Trainer) -> None:
        """End training between two batches of a validation, unless the validation or the step must be finished first.

        Raises:
            Interrupted: Any rank got a signal; the checkpoint for resuming is written.
        """
        loop = trainer.fit_loop.epoch_loop
        progress = loop.val_loop.batch_progress
        accumulating = loop._should_accumulate()  # gradients, which would be lost
        if trainer.sanity_checking or accumulating or progress.is_last_batch:
            return
        if greatest_over_ranks(interrupts.received(), trainer.strategy.root_device):
            none_done = progress.total.completed
            progress.current.reset()  # the resumed loop must see that no batch of this validation is done
            begun = {"ready": none_done + 1, "started": none_done + 1, "processed": none_done}
            progress.total.load_state_dict({**begun, "completed": none_done})
            if self.last is not None and not trainer.fit_loop.done:
                self.last.saved_step = -1  # a checkpoint of this step would resume after the validation
            self.end_if_told(trainer)

    def end_evaluation(self, trainer: L.Trainer, *args: Any) -> None:
        """End an evaluation if any rank got a signal.

        Raises:
            Interrupted: One did.
        """
        if trainer.state.fn == "fit":
            self.end_validation(trainer)
        elif number := greatest_over_ranks(interrupts.received(), trainer.strategy.root_device):
            raise Interrupted(number, f"stopped by {interrupts.name_of(number)}")

    on_validation_batch_end = on_test_batch_end = on_predict_batch_end = end_evaluation  # type: ignore[assignment]  # as above

    def on_exception(self, trainer: L.Trainer, *args: Any) -> None:
        self._answered.close()  # inside a command, signals keep waiting until it ends
        self._listening = False

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._listening:
            interrupts.release()
            self._answered.close()
            self._listening = False


def requeue(number: int) -> None:
    """Requeue this SLURM job, if it is one, after SIGUSR1 announced its end."""
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
