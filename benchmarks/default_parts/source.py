"""The backbone that is fine-tuned: it has learned points and classes of people as `synth` draws them."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import lightning as L
from distillation import people
from safetensors.torch import save_file

from default_parts.runs import (
    Batch,
    Drawn,
    Sizes,
    cpu_seconds,
    optimizer,
    people_of,
    read,
    save,
    trainer,
    training_batches,
)
from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import PoseHead, SegmentationHead
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.transforms import PoseAugmentation

RATE = 2e-3
# A little of each, as in quickstart.yaml: what varies more takes longer to learn from nothing.
VARIED = PoseAugmentation(
    half_body=0, shift=0.05, scale=(0.85, 1.2), rotation=15, photometric=0, blur=0, median_blur=0, dropout=0
)


def pretrain(folder: Path, other: Path, sizes: Sizes) -> Path:
    """The backbone's file, made once; beside it how well its own heads do on other people of both looks."""
    file, scores = folder / "backbone.safetensors", folder / "source.json"
    if read(scores) is not None:
        return file
    before = cpu_seconds()
    root = people(folder, "pool", sizes.source, 0)
    tested = people(folder, "tested", sizes.tested, 2)
    L.seed_everything(0, verbose=False)
    own = {"classes": "body29", "augment": VARIED}
    batches = training_batches(people_of(root, "train", sizes, 0, sizes.source_batch, **own))
    module = SapiensModule(
        partial(Sapiens2, sizes.network, sizes.image_size),
        {
            "pose": partial(PoseHead, skeleton="coco17", decoder="linear"),
            "segmentation": partial(SegmentationHead, decoder="linear"),
        },
        optimizer=optimizer(RATE),
        layer_decay=1.0,
        warmup_steps=30,
        flip_test=False,
    )
    run = trainer(sizes.source_steps, folder)
    run.fit(module, Streamed(batches, sizes.source_steps))
    found = {}
    for look, data, name in (("its own look", tested, "test"), ("the other look", other, "held_out")):
        held = people_of(data, name, sizes, 0, sizes.source_batch, **own)
        held.setup("test")
        (values,) = run.test(module, Drawn([], list(held.test_dataloader())), verbose=False)
        found[look] = {name: value for name, value in values.items() if name.count("/") == 2}
    save_file(module.network.backbone.state_dict(), file)
    save(scores, {"scores": found, "seconds": cpu_seconds() - before})
    return file


class Streamed(L.LightningDataModule):
    """So many batches of a source without end, none of them kept."""

    def __init__(self, batches: Iterator[Batch], steps: int) -> None:
        super().__init__()
        self.batches, self.steps = batches, steps

    def train_dataloader(self) -> Iterator[Batch]:
        return islice(self.batches, self.steps)
