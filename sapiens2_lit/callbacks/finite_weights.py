"""Refuse to evaluate weights that are not finite."""

import lightning as L

from sapiens2_lit.checkpoints.finite import check_finite


class FiniteWeights(L.Callback):
    """Refuses to validate, test or predict with weights that are NaN or infinite.

    Args:
        origin: File of the weights, for the message.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        check_finite(pl_module, self.origin)

    on_test_start = on_validation_start
    on_predict_start = on_validation_start
