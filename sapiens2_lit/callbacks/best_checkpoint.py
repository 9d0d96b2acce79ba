"""Keep the best state of a run, by its score and, among equal scores, by its validation loss."""

import math
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

LOSS = "val/loss"


class BestCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, to which of equal values of `monitor` the lower validation loss is the better.

    Of equal losses, or where a run logs none as `val/loss`, the later is. Lightning keeps the first of equal values: of
    a score that is 0 until a model has learned something, the model that has learned least.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.losses: dict[str, float] = {}  # of the files in `best_k_models`

    @property
    def state_key(self) -> str:
        """That of Lightning's own, under which older checkpoints have their best score."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Whether this state is to be kept; every rank must ask."""
        if super().check_monitor_top_k(trainer, current):
            return True
        worst = self.kth_best_model_path
        if current is None or worst not in self.best_k_models:
            return False
        equal = bool(current == self.best_k_models[worst])
        better = equal and not validation_loss(trainer) > self.losses.get(worst, math.inf)
        return trainer.strategy.reduce_boolean_decision(better)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "losses": self.losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.losses = {
            path: loss for path, loss in state_dict.get("losses", {}).items() if path in self.best_k_models
        }

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        # Lightning has just told the best from the worst by their scores alone
        if filepath in self.best_k_models:
            known = {**self.losses, filepath: validation_loss(trainer)}
            self.losses = {path: known.get(path, math.inf) for path in self.best_k_models}
            ranking = sorted(self.best_k_models, key=self._place)
            self.best_model_path = ranking[-1]
            if self.kth_best_model_path:
                self.kth_best_model_path = ranking[0]
        super()._save_checkpoint(trainer, filepath)

    def _place(self, path: str) -> tuple[float, float]:
        """Grows with how good a kept state is; of equal ones the later comes later in `best_k_models`."""
        score = float(self.best_k_models[path])
        return (score if self.mode == "max" else -score, -self.losses[path])


def validation_loss(trainer: L.Trainer) -> float:
    """The last one; infinite where there is none."""
    loss = float(trainer.callback_metrics.get(LOSS, math.inf))
    return math.inf if math.isnan(loss) else loss
