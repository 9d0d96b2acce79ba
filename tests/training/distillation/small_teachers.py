"""Tiny teachers in files, and runs that learn from them."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import NormalHead, SegmentationHead
from sapiens2_lit.inference.build_from_config import read_factories
from sapiens2_lit.models.build import build
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.distillation.settings import Teacher
from sapiens2_lit.training.module import SapiensModule

SIZE = (64, 48)
HEADS = {
    "pose": {"class_path": "sapiens2_lit.heads.PoseHead", "init_args": {"skeleton": "coco17"}},
    "seg": {"class_path": "sapiens2_lit.heads.SegmentationHead"},
    "normal": {"class_path": "sapiens2_lit.heads.NormalHead"},
    "pointmap": {"class_path": "sapiens2_lit.heads.PointmapHead", "init_args": {"image_size": list(SIZE)}},
    "depth": {"class_path": "sapiens2_lit.heads.DepthHead"},
    "albedo": {"class_path": "sapiens2_lit.heads.AlbedoHead"},
    "matting": {"class_path": "sapiens2_lit.heads.MattingHead"},
}


def write_teacher(
    path: Path,
    *heads: str,
    seed: int = 1,
    size: Any = "test",
    image_size: tuple[int, int] = SIZE,
    **changed: Any,
) -> str:
    """A checkpoint as `fit` writes it, of random values, with these heads; settings of heads may be changed."""
    chosen = {name: dict(HEADS[name]) for name in heads}
    for name, settings in changed.items():
        chosen[name] = {**chosen[name], "init_args": {**chosen[name].get("init_args", {}), **settings}}
    init = {"size": size, "image_size": list(image_size)}
    backbone = {"class_path": "sapiens2_lit.backbones.Sapiens2", "init_args": init}
    config = {
        "model": {"backbone": backbone, "heads": chosen},
        "data": {"init_args": {"image_size": [*image_size]}},
    }
    torch.manual_seed(seed)
    network = build(*read_factories(config, "test"), pretrained=False)
    with torch.no_grad():  # fresh last layers say nothing
        for parameter in network.heads.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {"sapiens2_lit": {"config": config}, "state_dict": network.state_dict(), "global_step": 1}, path
    )
    return str(path)


class Images(L.LightningDataModule):
    """Four images, two a step, with normals or without any labels."""

    def __init__(self, labelled: bool = True) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (4, 3, *SIZE), dtype=torch.uint8, generator=random)
        normals = nn.functional.normalize(torch.randn(4, 3, *SIZE, generator=random), dim=1)
        pairs = enumerate(zip(images, normals, strict=True))
        rows = [{"image": one, "normal": normal, "sample": str(index)} for index, (one, normal) in pairs]
        self.image_size = SIZE
        self.datasets = {
            "train": rows if labelled else [{key: row[key] for key in ("image", "sample")} for row in rows]
        }

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.datasets["train"], batch_size=2)  # type: ignore[arg-type]


def student(teacher: Teacher | None, size: str = "test", **settings: Any) -> SapiensModule:
    """A module with heads for normals and classes."""
    torch.manual_seed(0)
    heads: dict[str, Any] = {"normal": partial(NormalHead), "seg": partial(SegmentationHead)}
    return SapiensModule(
        partial(Sapiens2, size, SIZE),
        heads,
        adapt=settings.pop("adapt", Adapt("full")),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        flip_test=False,
        teacher=teacher,
        **settings,
    )


class Losses(L.Callback):
    """The loss of each step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))


def fit(
    module: SapiensModule,
    folder: Path,
    *callbacks: L.Callback,
    epochs: int = 2,
    resume: Path | None = None,
    labelled: bool = True,
    keep: int | None = None,
) -> tuple[list[float], L.Trainer]:
    """Train for that many epochs of two steps; returns the losses and the trainer.

    Args:
        keep: a step after which `folder/kept.ckpt` is written.
    """
    recorded = Losses()

    class Keep(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
            if trainer.global_step == keep:
                trainer.save_checkpoint(folder / "kept.ckpt")

    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[recorded, Keep(), *callbacks],
    )  # fmt: skip
    trainer.fit(module, Images(labelled), ckpt_path=resume, weights_only=True)
    return recorded.losses, trainer
