"""Keep the best states of a run, and no others, however often it was killed."""

import re
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """As Lightning's `ModelCheckpoint`, but what a killed run has left does not stay beside the best.

    A run that goes on from `last.ckpt` may find a checkpoint that was saved later, of which it knows nothing. That one
    stays until the run has a best one of its own, under the same name if it comes to the same step.
    """

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
        """Forget checkpoints of this run that are gone: the next one is then good enough to be saved."""
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
        """Remove checkpoints named as ours that are none of the best."""
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
