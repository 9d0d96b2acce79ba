"""Log the learning rates of a run as a few readable curves."""

from typing import Any

import lightning as L

from sapiens2_lit.training.backbone_module import BackboneModule


class LearningRates(L.Callback):
    """Logs the learning rates of the slowest and the fastest parameter group as `lr/NAME`.

    Layer-wise decay makes dozens of groups whose rates are fixed multiples of each other, so two are enough.
    """

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, BackboneModule)
        if not pl_module.is_log_step():
            return
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        for group in {id(group): group for group in (groups[0], groups[-1])}.values():
            pl_module.log(f"lr/{group.get('name', 'all').removesuffix('.plain')}", group["lr"])
