"""Labels beside predictions, for a few validation samples that stay the same throughout a run."""

from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from sapiens2_lit.heads.base import Batch
from sapiens2_lit.training.evaluator import full_precision
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.visualization.compare import compare
from sapiens2_lit.visualization.draw import contact_sheet


class PredictionPictures(L.Callback):
    """Sends pictures of the first validation samples to TensorBoard, as `val/HEAD`.

    Args:
        num_samples: how many samples; 0 draws none.
    """

    def __init__(self, num_samples: int = 8) -> None:
        self.num_samples = num_samples
        self.drawn: dict[str, list[np.ndarray]] = {}

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.drawn = {}

    @rank_zero_only
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, SapiensModule)
        for name, head in pl_module.named_heads():
            drawn = self.drawn.setdefault(name, [])
            if name not in outputs or trainer.sanity_checking or len(drawn) >= self.num_samples:
                continue
            in_input_pixels = {key: value for key, value in batch.items() if key != "affine"}
            with full_precision(pl_module.device):
                prediction = head.predict(outputs[name], in_input_pixels)
            count = min(len(batch["image"]), self.num_samples - len(drawn))
            drawn += [compare(head, batch, prediction, index) for index in range(count)]

    @rank_zero_only
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for name, pictures in self.drawn.items():
            for logger in trainer.loggers:
                if pictures and isinstance(logger, TensorBoardLogger):
                    sheet = contact_sheet(pictures, columns=2)
                    logger.experiment.add_image(f"val/{name}", sheet, trainer.global_step, dataformats="HWC")
        self.drawn = {}
