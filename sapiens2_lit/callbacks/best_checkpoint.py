"""Keep only the best checkpoints of a run: by score, and among equal scores by validation loss."""

import math
import re
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

LOSS = "val/loss"


class BestCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`; among equal values of `monitor`, the lower validation loss is better.

    Among equal losses, or if a run logs none as `val/loss`, the later checkpoint is better. Lightning keeps the first
    of equal values: while a score is still 0, that is the model that has learned least.

    Checkpoints of a killed run do not stay beside the best one: a run resumed from `last.ckpt` may find a checkpoint
    that was saved later. It is kept until the run has its own best checkpoint, which may have the same name and step.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.losses: dict[str, float] = {}  # of the files in `best_k_models`

    @property
    def state_key(self) -> str:
        """The key of Lightning's own callback, which older checkpoints use."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Return whether to keep this state; every rank must call it.

        Args:
            trainer: Of the run.
            current: Value of `monitor`, a scalar; None if it was not logged.
        """
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
        # Lightning has just ranked the checkpoints by score alone
        if filepath in self.best_k_models:
            known = {**self.losses, filepath: validation_loss(trainer)}
            self.losses = {path: known.get(path, math.inf) for path in self.best_k_models}
            ranking = sorted(self.best_k_models, key=self._place)
            self.best_model_path = ranking[-1]
            if self.kth_best_model_path:
                self.kth_best_model_path = ranking[0]
        super()._save_checkpoint(trainer, filepath)

    def _place(self, path: str) -> tuple[float, float]:
        """Return a sort key that grows with the quality of a kept state.

        Later equal ones come later in `best_k_models`.
        """
        score = float(self.best_k_models[path])
        return (score if self.mode == "max" else -score, -self.losses[path])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.forget_missing()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        saved = self._last_global_step_saved
        super().on_validation_end(trainer, pl_module)
        if self._last_global_step_saved != saved and trainer.is_global_zero:
            self.remove_unknown()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if trainer.is_global_zero and self.best_k_models:
            self.remove_unknown()

    def forget_missing(self) -> None:
        """Forget checkpoints of this run that no longer exist, so that the next one is good enough to be saved."""
        self.best_k_models = {
            path: score for path, score in self.best_k_models.items() if Path(path).exists()
        }
        if self.best_model_path and not Path(self.best_model_path).exists():
            self.best_model_path, self.best_model_score = "", None
        if not self.best_k_models:
            self.kth_best_model_path, self.kth_value = "", self.worst
        elif self.kth_best_model_path not in self.best_k_models:
            pick = min if self.mode == "max" else max
            self.kth_best_model_path = pick(self.best_k_models, key=lambda path: self.best_k_models[path])
            self.kth_value = self.best_k_models[self.kth_best_model_path]

    @property
    def worst(self) -> Any:
        """The score that every other one beats."""
        return torch.tensor(float("-inf" if self.mode == "max" else "inf"))

    def remove_unknown(self) -> None:
        """Remove checkpoints that are named like those of this callback but are not among the best."""
        if self.dirpath is None or self.filename is None or self.save_top_k < 1:
            return
        name = re.sub(r"\\\{[^{}]*\\\}", r"[^/]+", re.escape(self.filename))
        known = {Path(path).name for path in self.best_k_models}
        for path in Path(self.dirpath).iterdir():
            if not re.fullmatch(rf"{name}(-v\d+)?\.ckpt", path.name) or path.name in known:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def validation_loss(trainer: L.Trainer) -> float:
    """Return the last validation loss; infinite if there is none."""
    loss = float(trainer.callback_metrics.get(LOSS, math.inf))
    return math.inf if math.isnan(loss) else loss
