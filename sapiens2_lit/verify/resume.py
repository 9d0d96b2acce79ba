"""Check exact resume: a run that stops and resumes has the losses and weights of an uninterrupted run."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sapiens2_lit.memory.batches import example_batch
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.verify.rows import Check, Found, at_most
from sapiens2_lit.verify.training import Size

STEPS, STOP = 4, 2
ON_A_CARD = 1e-5  # on a card the order of sums varies
DIFFERS = "A run that resumes from its checkpoint differs from an uninterrupted run."


def resume_checks(size: Size) -> list[Check]:
    """Return a check with one row: the largest difference of losses and weights."""
    return [Check(f"resume {size.name}: stopped and never stopped", lambda: resume(size))]


def resume(size: Size) -> Found:
    """Train four steps at once; and two, then two more from the checkpoint; and compare."""
    task = next((task for task in size.setting.tasks), "normal")
    checkpoint = size.setting.scratch / "resume.ckpt"
    whole, expected = fit(size, task, STEPS)
    begun, _ = fit(size, task, STOP, save=checkpoint)
    rest, found = fit(size, task, STEPS, resume=checkpoint)
    losses = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip([*begun, *rest], whole, strict=True))
    weights = max(float((found[name] - value).abs().max()) for name, value in expected.items())
    return at_most(max(losses, weights), ON_A_CARD if size.setting.gpu else 0.0, DIFFERS)


def fit(
    size: Size, task: str, steps: int, resume: Path | None = None, save: Path | None = None
) -> tuple[list[float], dict[str, Tensor]]:
    """Train, and return the losses by step and the final weights.

    Args:
        size: Of the backbone.
        task: Of the head.
        steps: To stop after.
        resume: Checkpoint to resume from, or None.
        save: Checkpoint to write, or None.
    """
    module = size.make(task, "last_blocks")
    watch = Losses(steps)
    trainer = L.Trainer(
        accelerator="gpu" if size.setting.gpu else "cpu",
        devices=1,
        max_steps=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        default_root_dir=size.setting.scratch,
        callbacks=[watch],
    )
    trainer.fit(module, OneBatch(module, size.image_size), ckpt_path=resume, weights_only=True)
    if save is not None:
        trainer.save_checkpoint(save)
    weights = {
        name: one.detach().cpu().clone() for name, one in module.named_parameters() if one.requires_grad
    }
    return watch.losses, weights


class OneBatch(L.LightningDataModule):
    """Data with one batch per epoch, the same in every run."""

    def __init__(self, module: SapiensModule, image_size: tuple[int, int]) -> None:
        super().__init__()
        with torch.device("meta"):
            heads = [make(1) for make in module.factory.heads.values()]
        batch = example_batch(heads, 1, image_size)
        random = torch.Generator().manual_seed(0)
        batch["image"] = torch.randint(0, 256, batch["image"].shape, dtype=torch.uint8, generator=random)
        self.datasets: dict[str, list[dict[str, Any]]] = {
            "train": [{key: value[0] for key, value in batch.items()}]
        }

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.datasets["train"], batch_size=1)  # type: ignore[arg-type]  # a list is one


class Losses(L.Callback):
    """Records the loss of each step, and stops after a given one."""

    def __init__(self, stop: int) -> None:
        self.stop, self.losses = stop, list[float]()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))
        trainer.should_stop = trainer.global_step >= self.stop
