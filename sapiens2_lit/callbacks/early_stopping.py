"""End a run that no longer improves, and log the reason."""

import logging
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities import rank_zero_only

from sapiens2_lit.errors import SettingError

_log = logging.getLogger(__name__)


class Patience(EarlyStopping):
    """Ends training after this many validations in a row without a better score.

    Args:
        patience: Number of validations.
        monitor: The score's name in the log.
        mode: `max` if higher is better, else `min`.
    """

    def __init__(self, patience: int, monitor: str = "val/score", mode: str = "max") -> None:
        super().__init__(monitor, patience=int(patience), mode=mode)  # a plain number, for checkpoints

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})  # the command line wins

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not sum(trainer.num_val_batches) and not getattr(trainer, "fast_dev_run", False):
            raise SettingError(
                f"--patience {self.patience}: there is no validation, so no score can stop the run; "
                "give data.val, or leave --patience out"
            )


class EarlyStoppingMessage(L.Callback):
    """Logs why a run ended early, for every `EarlyStopping` that it has."""

    @rank_zero_only
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.should_stop:
            return
        for callback in trainer.early_stopping_callbacks:
            if reason := why(callback):
                _log.info("stopped early after step %d: %s", trainer.global_step, reason)


def why(callback: EarlyStopping) -> str | None:
    """Return why the callback stopped the run; None if it did not."""
    if callback.wait_count >= callback.patience:
        times = f"{callback.wait_count} times" if callback.wait_count > 1 else "once"
        return (
            f"{callback.monitor} was measured {times} without getting better than {callback.best_score:.4f}"
        )
    reason = callback.stopping_reason_message
    return reason.replace(" Signaling Trainer to stop.", "") if reason else None
