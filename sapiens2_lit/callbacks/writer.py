"""Predictions of the `predict` command, written to disk."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_info


class PredictionWriter(BasePredictionWriter):
    """Writes `predictions.json` into the run's folder when all is predicted: one object for each sample.

    Each holds `sample` (file and person), `image_id` and `box` where the data has them, and for every head the
    values of its `predict`, in pixels of the original image; keypoints stand as [[x, y, score], ...].
    With several processes each writes its own samples, to `predictions.RANK.json`.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self.records: list[dict[str, Any]] = []

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        lists = {name: as_lists(values) for name, values in prediction.items()}
        context = as_lists({key: batch[key] for key in ("image_id", "box") if key in batch})
        for index, sample in enumerate(batch["sample"]):
            record = {"sample": sample} | {key: values[index] for key, values in context.items()}
            for name, values in lists.items():
                record[name] = {key: value[index] for key, value in values.items()}
            self.records.append(record)

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        suffix = f".{trainer.global_rank}" if trainer.world_size > 1 else ""
        path = Path(trainer.log_dir or trainer.default_root_dir) / f"predictions{suffix}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.records))
        part.replace(path)
        rank_zero_info(f"Wrote {len(self.records)} predictions to {path}")
        self.records = []


def as_lists(tensors: dict[str, torch.Tensor]) -> dict[str, list[Any]]:
    """Each tensor as nested lists of numbers rounded to what its float32 holds of a pixel."""
    return {
        key: (value.cpu().double().mul(1e4).round().div(1e4) if value.is_floating_point() else value).tolist()
        for key, value in tensors.items()
    }
