"""Keep the steps of loggers equal to those of the optimizer, also in a resumed run."""

from typing import Any

import lightning as L


class LoggedSteps(L.Callback):
    """Makes Lightning's count of logged steps follow the optimizer's.

    Lightning counts them separately, and restores its count one too high or too low from a checkpoint that was written
    after a validation or at an early stop: curves of a resumed run would be shifted, and its rows would
    overwrite others.
    """

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:  # the step that was just done
            trainer.fit_loop.epoch_loop._batches_that_stepped = max(0, trainer.global_step - 1)
