"""The pose data under a Trainer: every stage, with and without validation."""

from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer

from sapiens2_lit.datamodules import PoseDataModule

SIZE = (64, 48)


def module(root: Path, **settings) -> PoseDataModule:
    settings = {"skeleton": "coco17", "image_size": SIZE, "num_workers": 0, "batch_size": 3} | settings
    return PoseDataModule(str(root), **settings)


class Watcher(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.validated: list[int] = []

    def training_step(self, batch, batch_idx):
        return self.layer(batch["box_score"][:, None]).mean()

    def validation_step(self, batch, batch_idx):
        self.validated += batch["sample_index"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_runs_every_stage(dataset, tmp_path):
    data = module(dataset(), test="val.json", batch_size=4)
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=1, num_sanity_val_steps=0, enable_checkpointing=False, **quiet
    )
    watcher = Watcher()
    trainer.fit(watcher, datamodule=data)
    assert watcher.validated == list(range(6))
    alone = Watcher()
    trainer = Trainer(default_root_dir=tmp_path, max_epochs=1, enable_checkpointing=False, **quiet)
    trainer.fit(alone, datamodule=module(dataset(), val=None))
    assert trainer.global_step == 2
    assert alone.validated == []
