"""Labels beside predictions, for a few validation samples that stay the same throughout a run."""

from typing import Any

import cv2
import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from sapiens2_lit.heads.base import Batch, Head
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.visualization.draw import contact_sheet, side_by_side


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
            with pl_module.full_precision():
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


def compare(head: Head, batch: Batch, prediction: dict[str, torch.Tensor], index: int) -> np.ndarray:
    """One sample: its labels on the left, where it has any, and its prediction on the right, where labels count.

    What nobody taught the head, such as the depth of a background, would stretch the colours.
    """
    image = batch["image"][index].permute(1, 2, 0).cpu().numpy()
    views = {}
    shown = {key: value[index] for key, value in prediction.items()}
    if all(key in batch for key in head.targets):
        views["labels"] = head.draw(image, {key: batch[key][index] for key in head.targets})
        if head.partial and "valid" in batch:
            valid = batch["valid"][index]
            shown = {
                key: torch.where(valid, value, 0) if value.ndim == 3 else value
                for key, value in shown.items()
            }
    views["prediction"] = head.draw(image, shown)
    return side_by_side([shrink(view) for view in views.values()], titles=list(views))


def shrink(image: np.ndarray) -> np.ndarray:
    """At most 384 pixels high: TensorBoard keeps every picture of a run."""
    scale = 384 / image.shape[0]
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
