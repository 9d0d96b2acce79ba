"""How much faster epochs are whose features come from the cache, against the same epochs without one.

    python benchmarks/feature_cache.py [--size 0.1b] [--image-size 512 384] [--num 8]

Trains a linear probe and a released decoder on a frozen backbone with random weights, whose speed is that of any
weights, on synthetic people, once without a cache and once with one, in one process, and prints the ratio of the times
of an epoch.
"""

import os
import statistics
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import lightning as L

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.callbacks import FeatureCache
from sapiens2_lit.datamodules import SegmentationDataModule
from sapiens2_lit.heads import LinearHead, SegmentationHead
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule

HEADS = {"linear probe": LinearHead, "released segmentation decoder": SegmentationHead}
EPOCHS = 4


class Clock(L.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def epochs(
    head: Any, root: Path, size: str, image_size: tuple[int, int], count: int, cache: FeatureCache | None
) -> list[float]:
    module = SapiensModule(partial(Sapiens2, size), {"seg": head}, adapt=Adapt("frozen"))
    data = SegmentationDataModule(str(root), image_size, val=None, batch_size=2, num_workers=1, augment=None)
    clock = Clock()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=count, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[clock, *([cache] if cache else [])],
    )  # fmt: skip
    trainer.fit(module, data)
    return clock.seconds


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="0.1b")
    parser.add_argument("--image-size", type=int, nargs=2, default=(512, 384), metavar=("H", "W"))
    parser.add_argument("--num", type=int, default=8, help="training images")
    options = parser.parse_args()
    image_size = (options.image_size[0], options.image_size[1])
    rows = []
    with TemporaryDirectory() as folder:
        root = Path(folder) / "people"
        make_dataset(root, options.num, Settings(size=image_size, tasks=("segmentation",)))
        stems = sorted(path.stem for path in (root / "images").iterdir())
        (root / "splits" / "train.txt").write_text("\n".join(stems))
        for name, head in HEADS.items():
            plain = statistics.median(epochs(head, root, options.size, image_size, 2, None))
            cache = FeatureCache(str(Path(folder) / name.replace(" ", "_")))
            first, *later = epochs(head, root, options.size, image_size, EPOCHS, cache)
            seconds = statistics.median(later)
            rows.append(f"| {name} | {plain:.1f} | {first:.1f} | {seconds:.2f} | {plain / seconds:.1f} x |")
    print("| head | epoch without, s | first epoch, s | later epochs, s | faster |\n|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
