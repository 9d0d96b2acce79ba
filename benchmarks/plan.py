"""Planned memory against what a real run's allocator counts, on a CPU, and what recomputed decoders save.

    python benchmarks/plan.py [--size 0.1b] [--image 256 192] [--batch 2] [--heads pose normal]

Runs two optimizer steps of Lightning for each row; the smallest setting is `--size test --image 64 48`.
"""

import logging
import warnings
from argparse import ArgumentParser
from functools import partial
from typing import Any

from gpu.allocator import measure_peak

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.memory.estimate import estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.verify.trial import run_trial

HEADS = {"pose": PoseHead, "segmentation": SegmentationHead, "normal": NormalHead}
CASES: dict[str, dict[str, Any]] = {
    "full": {"adapt": Adapt("full")},
    "full, checkpointing": {"adapt": Adapt("full"), "checkpointing": True},
    "last 1": {"adapt": Adapt("last_blocks", last=1)},
    "frozen": {"adapt": Adapt("frozen")},
    "frozen, stages": {"adapt": Adapt("frozen"), "head_checkpointing": "stages"},
    "frozen, samples": {"adapt": Adapt("frozen"), "head_checkpointing": "samples"},
}


def make(
    head: str, size: str, image: tuple[int, int], checkpointing: bool = False, **settings: Any
) -> SapiensModule:
    backbone = partial(Sapiens2, size, image, activation_checkpointing=checkpointing)
    return SapiensModule(backbone, {head: HEADS[head]}, **settings)


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
                launch = TrainingSetup(args.batch, tuple(args.image), precision, gpu=False)
                module = make(head, args.size, launch.image_size, **settings)
                planned = estimate(empty_networks(module), launch)
                measured = measure_peak(partial(run_trial, module, launch))
                print(
                    f"{head:14}{name:22}{precision:12}{planned.total / 1e6:12.1f}{measured / 1e6:13.1f}"
                    f"{planned.total / measured:8.3f}{planned.phase:>20}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
