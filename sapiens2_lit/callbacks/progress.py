"""One progress bar for the whole run, counted in optimizer steps."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar


class RunProgressBar(TQDMProgressBar):
    """Shows optimizer steps of `max_steps`, with the losses and the time left; without `max_steps`, epochs.

    Fine-tuning on few images passes through many short epochs, whose bars say nothing of the end.
    """

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        super().on_train_start(trainer, *_)
        if trainer.max_steps > 0:
            bar = self.train_progress_bar
            bar.total, bar.initial, bar.n = trainer.max_steps, trainer.global_step, trainer.global_step

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.max_steps > 0:
            self.train_progress_bar.set_description(f"Epoch {trainer.current_epoch}")
        else:
            super().on_train_epoch_start(trainer, *_)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.max_steps <= 0:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        elif trainer.global_step % self.refresh_rate == 0 or trainer.global_step == trainer.max_steps:
            self.train_progress_bar.n = trainer.global_step
            self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module))

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        return {name: value for name, value in super().get_metrics(*args).items() if name != "v_num"}
