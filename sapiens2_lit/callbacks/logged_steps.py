"""The step under which loggers note a number: that of the optimizer, in a run that goes on, too."""

from typing import Any

import lightning as L


class LoggedSteps(L.Callback):
    """Lets Lightning's count of logged steps follow the optimizer's.

    Lightning counts them apart, and takes up its count from a checkpoint one too high or too low where that was written
    after a validation or at an early stop: curves of a run that goes on would shift, and its rows overwrite others.
    """

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:  # the step that was just made
            trainer.fit_loop.epoch_loop._batches_that_stepped = max(0, trainer.global_step - 1)
