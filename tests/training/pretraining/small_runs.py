"""Pretrainings of the smallest backbone on random pictures, that stop where a test wants them to."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import Dataset

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.data.loading import TrainingLoader, training_loader
from sapiens2_lit.training.pretraining.module import PretrainModule

PLANNED_STEPS = 8


class Views(Dataset[dict[str, Any]]):
    """Pictures whose views and seeds depend on epoch and index alone."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        random = torch.Generator().manual_seed(1000 * epoch + index)
        ground = torch.randint(0, 256, (1, 3, 1, 1), generator=random)
        image = (ground + torch.randint(-60, 60, (2, 3, 64, 48), generator=random)).clamp(0, 255)
        small = (ground + torch.randint(-60, 60, (2, 3, 32, 32), generator=random)).clamp(0, 255)
        return {
            "image": image.to(torch.uint8),
            "local": small.to(torch.uint8),
            "seed": torch.tensor(100 * epoch + index),
            "sample": str(index),
        }


class Pictures(L.LightningDataModule):
    """Six pictures, three batches of two an epoch."""

    def train_dataloader(self) -> TrainingLoader:
        return training_loader(Views(), sizes=[6], weights=[1.0], batch_size=2, num_workers=0, seed=0)


class SaveAndStop(L.Callback):
    """Saves right after a step, in the middle of an epoch, and ends the run."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.step:
            trainer.should_stop = True
            trainer.save_checkpoint(self.path)


def make(weights: Path | None = None, lr: float = 1e-3, **settings: Any) -> PretrainModule:
    torch.manual_seed(0)
    backbone = partial(Sapiens2, "test", (64, 48), weights=str(weights) if weights else None)
    return PretrainModule(backbone, optimizer=partial(torch.optim.AdamW, lr=lr), warmup_steps=0, **settings)


def fit(
    module: PretrainModule,
    folder: Path,
    steps: int,
    resume: Path | None = None,
    planned: int = PLANNED_STEPS,
    **trainer: Any,
) -> tuple[L.Trainer, Path]:
    saved = folder / f"{steps}.ckpt"
    run = L.Trainer(
        accelerator="cpu", max_steps=planned, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[*trainer.pop("callbacks", ()), SaveAndStop(steps, saved)], limit_val_batches=0, **trainer,
    )  # fmt: skip
    module.resume_from = str(resume) if resume else None
    run.fit(module, Pictures(), ckpt_path=resume, weights_only=True)
    return run, saved
