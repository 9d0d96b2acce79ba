"""Planned memory against what a real run's allocator counts, on a CPU, and what recomputed decoders save.

    python benchmarks/plan.py [--size 0.1b] [--image 256 192] [--batch 2] [--heads pose normal]

Runs two optimizer steps of Lightning for each row; the smallest setting is `--size test --image 64 48`.
"""

import logging
import warnings
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from typing import Any

import lightning as L
from torch.utils.data import DataLoader, IterableDataset

from sapiens2_lit.adapt import Adapt
from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.module import SapiensModule
from sapiens2_lit.plan.batches import example_batch
from sapiens2_lit.plan.estimate import estimate
from sapiens2_lit.plan.launch import Launch
from sapiens2_lit.plan.measure import measure_peak
from sapiens2_lit.plan.networks import empty_networks

HEADS = {"pose": PoseHead, "segmentation": SegmentationHead, "normal": NormalHead}
CASES: dict[str, dict[str, Any]] = {
    "full": {"adapt": Adapt("full")},
    "full, checkpointing": {"adapt": Adapt("full"), "checkpointing": True},
    "last 1": {"adapt": Adapt("last", last=1)},
    "frozen": {"adapt": Adapt("frozen")},
    "frozen, stages": {"adapt": Adapt("frozen"), "recompute": "stages"},
    "frozen, samples": {"adapt": Adapt("frozen"), "recompute": "samples"},
}


class Repeated(IterableDataset[Any]):
    """The same batch again and again."""

    def __init__(self, batch: dict[str, Any], count: int) -> None:
        self.batch, self.count = batch, count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for _ in range(self.count):
            yield {key: value.clone() for key, value in self.batch.items()}


def make(
    head: str, size: str, image: tuple[int, int], checkpointing: bool = False, **settings: Any
) -> SapiensModule:
    backbone = partial(Sapiens2, size, image, activation_checkpointing=checkpointing)
    return SapiensModule(backbone, {head: HEADS[head]}, **settings)


def train(module: SapiensModule, launch: Launch) -> None:
    module.configure_model()
    batch = example_batch([head for _, head in module.named_heads()], launch.batch_size, launch.image_size)
    trainer = L.Trainer(
        accelerator="cpu", max_steps=2, precision=launch.precision, logger=False, enable_checkpointing=False,  # type: ignore[arg-type]
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(Repeated(batch, 2), batch_size=None))


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--size", default="0.1b")
    parser.add_argument("--image", nargs=2, type=int, default=(256, 192))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=["pose", "normal"])
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    print(
        f"{'head':14}{'case':22}{'precision':12}{'planned MB':>12}{'measured MB':>13}{'ratio':>8}{'phase':>20}"
    )
    for head in args.heads:
        for name, settings in CASES.items():
            for precision in ("32-true", "bf16-mixed"):
                launch = Launch(args.batch, tuple(args.image), precision, gpu=False)
                module = make(head, args.size, launch.image_size, **settings)
                planned = estimate(empty_networks(module), launch)
                measured = measure_peak(partial(train, module, launch))
                print(
                    f"{head:14}{name:22}{precision:12}{planned.total / 1e6:12.1f}{measured / 1e6:13.1f}"
                    f"{planned.total / measured:8.3f}{planned.phase:>20}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
