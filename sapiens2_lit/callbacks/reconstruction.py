"""Draw pictures of a pretraining: masked images, their reconstruction, and the views that are compared."""

from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from sapiens2_lit.callbacks.pictures import log_picture, write_png
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.visualization.draw import contact_sheet, side_by_side

SHEET = "reconstruction"
VIEWS = "views.png"
COLUMNS = 2


class ReconstructionPictures(L.Callback):
    """Draws the first validation images: as they are, masked, and reconstructed.

    Each validation writes `pictures/step=N/reconstruction.png`, and the last one also `reconstruction.png`, in the
    run's folder; loggers get them as `val/reconstruction`. `views.png` has the views of the first training batch.

    Args:
        num_samples: Number of samples; 0 draws none.
    """

    def __init__(self, num_samples: int = 8) -> None:
        self.num_samples = num_samples
        self.drawn: list[np.ndarray] = []
        self.folder: Path | None = None  # of the run
        self.saw_views = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        run = trainer.log_dir  # every rank must ask
        if run is not None and not getattr(trainer, "fast_dev_run", False):
            self.folder = Path(run)

    @rank_zero_only
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.saw_views or self.folder is None or not self.num_samples:
            return
        self.saw_views = True
        rows = []
        for index in range(min(self.num_samples, len(batch["image"]))):
            views = [
                as_picture(view)
                for name in ("image", "local")
                if name in batch
                for view in batch[name][index]
            ]
            rows.append(
                side_by_side([of_height(view, views[0].shape[0]) for view in views], [""] * len(views))
            )
        write_png(self.folder / VIEWS, contact_sheet(rows, columns=1))

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.drawn = []

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
        if trainer.sanity_checking or not outputs:
            return
        for index in range(min(len(batch["image"]), self.num_samples - len(self.drawn))):
            pictures = [as_picture(images[index]) for images in outputs.values()]
            self.drawn.append(side_by_side(pictures, list(outputs)))

    @rank_zero_only
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.drawn:
            return
        sheet, step = contact_sheet(self.drawn, COLUMNS), trainer.global_step
        if self.folder is not None:
            write_png(self.folder / f"{SHEET}.png", sheet)
            write_png(self.folder / "pictures" / f"step={step}" / f"{SHEET}.png", sheet)
        for logger in trainer.loggers:
            log_picture(logger, f"val/{SHEET}", sheet, step)
        self.drawn = []


def as_picture(image: Tensor) -> np.ndarray:
    """Return RGB 0 to 255 (3, H, W) of any dtype as uint8 (H, W, 3)."""
    pixels = image.detach().float().clamp(0, 255).round().byte()
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def of_height(picture: np.ndarray, height: int) -> np.ndarray:
    """Return the picture (H, W, 3) padded with gray to a height, vertically centered."""
    top = max(0, height - picture.shape[0])
    above = top // 2
    return np.asarray(
        cv2.copyMakeBorder(picture, above, top - above, 0, 0, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    )
