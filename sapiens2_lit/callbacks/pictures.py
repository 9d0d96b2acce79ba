"""Draw labels beside predictions, for a few validation samples that stay the same throughout a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from sapiens2_lit.atomic_write import write_whole
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.training.evaluator import full_precision
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.visualization.compare import compare
from sapiens2_lit.visualization.draw import contact_sheet, side_by_side

PREDICTIONS = "predictions.png"
_ACROSS = 1700  # pixels of a sheet, roughly


class PredictionPictures(L.Callback):
    """Draws the first validation samples, one sheet for each head: `pictures/step=N/HEAD.png` in the run's folder.

    `predictions.png` there has the sheets of all heads of the last validation. TensorBoard, Weights & Biases and
    MLflow get them as `val/HEAD`.

    Args:
        num_samples: Number of samples; 0 draws none.
    """

    def __init__(self, num_samples: int = 8) -> None:
        self.num_samples = num_samples
        self.drawn: dict[str, list[np.ndarray]] = {}
        self.folder: Path | None = None  # of the run

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not getattr(trainer, "fast_dev_run", False):  # it writes nothing
            run = trainer.log_dir  # every rank must ask
            self.folder = Path(run) if run is not None else None

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
        step = trainer.global_step
        sheets = {
            name: contact_sheet(pictures, columns_of(pictures))
            for name, pictures in self.drawn.items()
            if pictures
        }
        if self.folder is not None and sheets:
            write_png(self.folder / PREDICTIONS, stack(sheets))
        for name, sheet in sheets.items():
            if self.folder is not None:
                write_png(self.folder / "pictures" / f"step={step}" / f"{name}.png", sheet)
            for logger in trainer.loggers:
                log_picture(logger, f"val/{name}", sheet, step)
        self.drawn = {}


def columns_of(pictures: Sequence[np.ndarray]) -> int:
    """Return the number of columns of a sheet that fits a screen: two, or up to four for narrow pictures (H, W, 3)."""
    return max(2, min(4, _ACROSS // max(picture.shape[1] for picture in pictures)))


def stack(sheets: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the sheets (H, W, 3) of all heads in one picture, below the heads' names if there are several."""
    if len(sheets) == 1:
        return next(iter(sheets.values()))
    return contact_sheet([side_by_side([sheet], [name]) for name, sheet in sheets.items()], columns=1)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write RGB (H, W, 3) uint8; create the folder if needed.

    Raises:
        SettingError: The file cannot be written.
    """
    done, data = cv2.imencode(".png", picture[..., ::-1])
    assert done
    write_whole(path, data.tobytes())


def log_picture(logger: Logger, name: str, picture: np.ndarray, step: int) -> None:
    """Log a picture by a logger that supports pictures; others are left alone.

    Args:
        logger: Of the run.
        name: Of the picture.
        picture: RGB (H, W, 3) uint8.
        step: Of the optimizer.
    """
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, picture, step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(key=name, images=[picture], step=step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_image(logger.run_id, picture, key=name, step=step)
