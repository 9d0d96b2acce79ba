"""Runs of a tiny backbone with a head for normals, that stop where a test wants them to."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import NormalHead
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule

PLANNED_STEPS = 8  # of every run's learning-rate schedule, wherever it stops


class Pictures(L.LightningDataModule):
    """Two samples with normals, one step an epoch."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8, generator=random)
        normals = nn.functional.normalize(torch.randn(2, 3, 64, 48, generator=random), dim=1)
        self.datasets = {
            "train": [
                {"image": image, "normal": normal, "sample": str(index)}
                for index, (image, normal) in enumerate(zip(images, normals, strict=True))
            ]
        }

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.datasets["train"], batch_size=2)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.datasets["train"], batch_size=2)  # type: ignore[arg-type]


def make(pretrained: Path | None, adapt: Adapt, **settings: Any) -> SapiensModule:
    torch.manual_seed(0)
    backbone = partial(Sapiens2, "test", weights=str(pretrained) if pretrained else None)
    optimizer = partial(torch.optim.AdamW, lr=1e-2)
    return SapiensModule(
        backbone,
        {"normal": partial(NormalHead)},
        adapt=adapt,
        optimizer=optimizer,
        flip_test=False,
        **settings,
    )


class Stop(L.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.step


def fit(
    module: SapiensModule,
    folder: Path,
    steps: int,
    resume: Path | None = None,
    callbacks: tuple[L.Callback, ...] = (),
) -> tuple[L.Trainer, Path]:
    trainer = L.Trainer(
        accelerator="cpu", max_steps=PLANNED_STEPS, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[*callbacks, Stop(steps)],
    )  # fmt: skip
    trainer.fit(module, Pictures(), ckpt_path=resume, weights_only=True)
    saved = folder / f"{steps}.ckpt"
    trainer.save_checkpoint(saved)
    return trainer, saved


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}
