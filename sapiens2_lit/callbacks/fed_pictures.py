"""Draw the input of a run: labels as they are on disk, and the first batches as the network sees them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from sapiens2_lit.callbacks.pictures import write_png
from sapiens2_lit.callbacks.throughput import parts_of
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.datamodules.parts import datamodule_parts
from sapiens2_lit.report.check_samples import CheckedData
from sapiens2_lit.report.label_sheet import label_sheet
from sapiens2_lit.training.data_contract import datamodule_of
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.visualization.compare import draw_labels
from sapiens2_lit.visualization.draw import contact_sheet, side_by_side

LABELS, BATCH = "labels.png", "train_batch.png"
_ACROSS = 1700  # pixels of a sheet at most, unless one sample is wider


class FedPictures(L.Callback):
    """Writes `labels.png` and `train_batch.png` into the run's folder when training starts.

    `labels.png` shows training samples with their labels before any augmentation; `train_batch.png` shows the first
    batch of each dataset after augmentation, with the labels that the heads learn from.

    Args:
        num_samples: Of each dataset; 0 for no pictures.
    """

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples
        self.folder: Path | None = None
        self.sheets: dict[str, np.ndarray] = {}  # of the first batch of each dataset

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        run = trainer.log_dir  # every rank must ask
        if run is not None and trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False):
            self.folder = Path(run)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.sheets = {}
        if self.folder is None or not self.num_samples:
            return
        sheets = [label_sheet(data, self.num_samples) for data in fed_data(datamodule_of(trainer))]
        drawn = [sheet for sheet in sheets if sheet is not None]
        if drawn:
            write_png(self.folder / LABELS, contact_sheet(drawn, columns=1))

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, SapiensModule)
        if self.folder is None or not self.num_samples:
            return
        new = {name: part for name, part in named_parts(batch).items() if name not in self.sheets}
        if not new:
            return
        for name, part in new.items():
            self.sheets[name] = batch_sheet(pl_module, part, self.num_samples)
        write_png(self.folder / BATCH, contact_sheet([*self.sheets.values()], columns=1))


def named_parts(batch: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the batches with images in a batch, by dataset; a batch without a name has an empty one."""
    names = list(batch["batches"]) if "batches" in batch else [str(batch.get("dataset", ""))]
    return {name: part for name, part in zip(names, parts_of(batch), strict=True) if "image" in part}


def batch_sheet(module: SapiensModule, batch: Mapping[str, Any], count: int) -> np.ndarray:
    """Return a picture (H, W, 3) of samples of a batch, each with the labels of every head that learns from it.

    Args:
        module: That is trained.
        batch: After augmentation.
        count: Largest number of samples.
    """
    few = {key: value[:count] for key, value in batch.items() if hasattr(value, "__getitem__")}
    heads = {name: head for name, head in module.named_heads() if all(key in few for key in head.targets)}
    strips = []
    for index in range(len(few["image"])):
        views = [draw_labels(head, few, index) for head in heads.values()]
        strips.append(side_by_side(views, list(heads)) if views else np.zeros((1, 1, 3), np.uint8))
    columns = max(1, min(4, len(strips), _ACROSS // max(strip.shape[1] for strip in strips)))
    return contact_sheet(strips, columns)


def fed_data(datamodule: Any) -> list[CheckedData]:
    """Return the datamodules in use whose labels can be drawn as they are on disk."""
    return [
        CheckedData(
            name=name,
            datasets=data.datasets,
            subjects=[],
            sample=data.sample,
            skeleton=getattr(data, "skeleton", None),
            classes=getattr(data, "classes", None),
        )
        for name, data in datamodule_parts(datamodule).items()
        if isinstance(data, ImageDataModule) and "train" in data.datasets
    ]
