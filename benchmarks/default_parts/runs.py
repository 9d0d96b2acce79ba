"""One fine-tuning on pictures that are drawn beforehand, and the scores of held-out people, kept in a file."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from default_parts.people import part_of
from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.heads import PoseHead, SegmentationHead
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.vocabularies.skeleton_loader import DEFAULT_SIGMA

Batch = dict[str, Any]
RATE = 1.5e-3  # of size/pico.yaml
LAYER_DECAY = 0.8  # of size/0.4b.yaml
SCORES = {"pose": "test/pose/PCK@0.1", "segmentation": "test/segmentation/foreground_mIoU"}
# 29 classes are hardly learned at this size: head, upper and lower body
HEADS: dict[str, partial[Any]] = {
    "pose": partial(PoseHead, skeleton="coco17"),
    "segmentation": partial(SegmentationHead, classes="body3"),
}


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    source: int = 4000  # labelled pictures of the first look
    pool: int = 800  # of the other look, to train on
    tested: int = 200
    source_steps: int = 800
    source_batch: int = 16
    steps: int = 200  # of fine-tuning
    batch: int = 8
    network: str = "pico"
    image_size: tuple[int, int] = (64, 48)


@dataclass(frozen=True)
class Run:
    """One fine-tuning.

    Attributes:
        task: `pose` or `segmentation`.
        count: labelled pictures of the other look.
        name: what is tried.
        adapt: how much of the backbone learns.
        rate: factor on the learning rate.
        layer_decay: of the rates of blocks.
        ema: decay of an average of the weights, if there is one.
        steps: factor on `Sizes.steps`.
        head: settings of the head.
    """

    task: str
    count: int
    name: str
    adapt: Adapt
    rate: float = 1.0
    layer_decay: float = LAYER_DECAY
    ema: float | None = None
    steps: float = 1.0
    head: Mapping[str, Any] = field(default_factory=dict)

    def file(self, folder: Path, seed: int) -> Path:
        name = f"{self.task}_{self.count}_{self.name}_{seed}.json"
        return folder / "runs" / name.replace(" ", "-").replace("/", "of")


class Drawn(L.LightningDataModule):
    """Batches that are there."""

    def __init__(self, train: list[Batch], test: list[Batch]) -> None:
        super().__init__()
        self.train, self.test = train, test

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.train, batch_size=None)  # type: ignore[arg-type]

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.test, batch_size=None)  # type: ignore[arg-type]


class Pictures:
    """The other look: training batches by number of pictures and seed, which all runs share, and those to test on."""

    def __init__(self, root: Path, sizes: Sizes) -> None:
        self.root, self.sizes = root, sizes
        data = people_of(root, "held_out", sizes, 0, sizes.source_batch)
        data.setup("test")
        self.test = list(data.test_dataloader())
        self.of: tuple[int, int] | None = None
        self.train: list[Batch] = []

    def drawn(self, count: int, seed: int, steps: int) -> Drawn:
        """The first `steps` batches; of the last number and seed alone they are kept."""
        if self.of != (count, seed) or len(self.train) < steps:
            name = part_of(self.root, count, seed, self.sizes.pool)
            source = training_batches(people_of(self.root, name, self.sizes, seed, self.sizes.batch))
            self.train, self.of = [next(source) for _ in range(steps)], (count, seed)
        return Drawn(self.train[:steps], self.test)


def people_of(root: Path, name: str, sizes: Sizes, seed: int, batch: int, **settings: Any) -> PoseDataModule:
    """Crops of people with points and classes; training samples vary as they do by default."""
    file = f"annotations/{name}.json"
    return PoseDataModule(
        str(root), "coco17", sizes.image_size, train=file, val=None, test=file, masks="masks", batch_size=batch,
        num_workers=0, seed=seed, **{"classes": "body3"} | settings,
    )  # fmt: skip


def training_batches(data: PoseDataModule) -> Iterator[Batch]:
    """Epoch after epoch, without end."""
    data.setup("fit")
    loader = data.train_dataloader()
    epoch = 0
    while True:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader
        epoch += 1


def optimizer(rate: float) -> partial[torch.optim.AdamW]:
    return partial(torch.optim.AdamW, lr=rate, betas=(0.9, 0.95), weight_decay=0.1)


def trainer(steps: int, folder: Path) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", devices=1, max_steps=steps, gradient_clip_val=4.0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=steps, default_root_dir=folder,
    )  # fmt: skip


def measure(one: Run, seed: int, folder: Path, pictures: Pictures, backbone: Path) -> dict[str, Any]:
    """The scores of one run, from its file where it is there."""
    file, sizes = one.file(folder, seed), pictures.sizes
    if (known := read(file)) is not None:
        return known
    steps = round(one.steps * sizes.steps)
    data = pictures.drawn(one.count, seed, steps)
    before = cpu_seconds()
    L.seed_everything(seed, verbose=False)
    module = SapiensModule(
        partial(Sapiens2, sizes.network, sizes.image_size, weights=str(backbone)),
        {one.task: partial(HEADS[one.task], **one.head)},
        adapt=one.adapt,
        ema=None if one.ema is None else EMA(one.ema),
        optimizer=optimizer(RATE * one.rate),
        layer_decay=one.layer_decay,
        warmup_steps=30,
        flip_test=False,
    )
    run = trainer(steps, folder)
    run.fit(module, data)
    seconds = cpu_seconds() - before
    (scores,) = run.test(module, data, verbose=False)
    scores = {
        name: value for name, value in scores.items() if name.count("/") == 2
    }  # not those of each point
    if one.task == "pose":
        scores |= similarity(module, data.test)
    found = {"scores": scores, "seconds": seconds, "steps": steps}
    save(file, found)
    return found


@torch.no_grad()
def similarity(module: SapiensModule, batches: list[Batch]) -> dict[str, float]:
    """Mean OKS of held-out people: with COCO's sigmas, and with that of points which are unknown, for all of them."""
    head = dict(module.named_heads())["pose"]
    assert isinstance(head, PoseHead)
    sigmas = {"OKS": torch.tensor(head.skeleton.sigmas), "OKS of one sigma": torch.tensor(DEFAULT_SIGMA)}
    sums, count = dict.fromkeys(sigmas, 0.0), 0
    module.eval()
    for batch in batches:
        points = head.predict(module.evaluate(batch["image"])["pose"], without_affine(batch))["keypoints"]
        labels, zoom = batch["keypoints"], torch.linalg.det(batch["affine"][:, :, :2]).abs()
        squared = (points[..., :2] - labels[..., :2]).square().sum(-1)
        area, known = (
            0.53 * batch["box"][:, 2:].prod(1) * zoom,
            labels[..., 2] > 0,
        )  # a person's share of a box
        for name, sigma in sigmas.items():
            alike = torch.exp(-squared / (2 * area[:, None] * (2 * sigma) ** 2))[known]
            sums[name] += float(alike.sum())
        count += int(known.sum())
    return {name: total / count for name, total in sums.items()}


def without_affine(batch: Batch) -> Batch:
    """So that predictions stay in pixels of the input, as labels are."""
    return {key: value for key, value in batch.items() if key != "affine"}


def read(file: Path) -> dict[str, Any] | None:
    """A result, if it is there."""
    return dict(json.loads(file.read_text())) if file.exists() else None


def save(file: Path, content: dict[str, Any]) -> None:
    """Write a result whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1))
    part.replace(file)


def cpu_seconds() -> float:
    """Of this process: on a shared machine the clock says little."""
    return sum(os.times()[:2])
