"""What the benchmarks of this folder share: their options, the clock, and the fullest moment of the memory.

On a GPU time is told by its own events and memory by torch's allocator of that device. On a CPU, where the benchmarks
only show that they run, time is told by the host's clock and memory by torch's allocator as the profiler hears it.
"""

import gc
import logging
import statistics
import time
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import lightning
import torch
from allocator import measure_peak

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.cli.out_of_memory import is_out_of_memory
from sapiens2_lit.heads import NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.memory.estimate import estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.verify.trial import Trial, run_trial

HEADS = {"pose": PoseHead, "segmentation": SegmentationHead, "normal": NormalHead}
GB = 1e9


def parser(about: str | None, *, size: Sequence[str]) -> ArgumentParser:
    """Options of every benchmark; those that a script adds come on top."""
    found = ArgumentParser(description=(about or "").partition("\n")[0])
    found.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    found.add_argument("--size", nargs="+", default=list(size), help="of backbones")
    found.add_argument("--image-size", nargs=2, type=int, default=(1024, 768), metavar=("HEIGHT", "WIDTH"))
    found.add_argument("--batch", type=int, default=1, help="images at once")
    found.add_argument("--steps", type=int, default=10, help="that are measured, after three to warm up")
    return found


def prepare(options: Namespace) -> None:
    """Quiet libraries; says what is measured on."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "error: there is no GPU here; --device cpu --size test --image-size 64 48 shows that it runs"
        )
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(f"{device}, torch {torch.__version__}, lightning {lightning.__version__}")
    height, width = options.image_size
    print(f"{height} x {width}, {options.batch} images at once\n", flush=True)


def row(*cells: object) -> None:
    """Prints a row of a Markdown table."""
    print(
        "| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells) + " |",
        flush=True,
    )


def head_row(*names: str) -> None:
    row(*names)
    print("|" + "---|" * len(names))


def median_time(work: Callable[[], object], repeats: int, device: str) -> float:
    """Seconds that `work` takes, the median of `repeats` runs after three to warm up."""
    for _ in range(3):
        work()
    return statistics.median(_time(work, device) for _ in range(repeats))


def _time(work: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    work()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1000


def peak_of(work: Callable[[], object], device: str) -> int:
    """Most bytes of tensors alive at once on the device in `work`, above those of before."""
    if device == "cpu":
        return measure_peak(work)
    gc.collect()  # a Trainer and its model know each other
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before


@dataclass
class Training:
    """What was seen of a training.

    Attributes:
        trial: its losses and the time of its steps.
        seconds: of a step, the median.
        peak: bytes.
        planned: bytes of tensors by `sapiens2-lit plan`, without its allowance for driver and fragments.
    """

    trial: Trial
    seconds: float
    peak: int
    planned: int


def make_module(
    head: str, size: str, image_size: tuple[int, int], checkpointing: Any = False, **settings: Any
) -> SapiensModule:
    backbone = partial(Sapiens2, size, image_size, activation_checkpointing=checkpointing)
    return SapiensModule(backbone, {head: HEADS[head]}, **settings)


def launch_of(options: Namespace, precision: str, **settings: Any) -> TrainingSetup:
    image_size = (options.image_size[0], options.image_size[1])
    return TrainingSetup(options.batch, image_size, precision, gpu=options.device == "cuda", **settings)


def train(make: Callable[[], SapiensModule], launch: TrainingSetup, steps: int) -> Training | None:
    """Train for `steps` steps after three to warm up; None where memory runs out."""
    trials: list[Trial] = []
    device = "cuda" if launch.gpu else "cpu"
    try:
        peak = peak_of(lambda: trials.append(run_trial(make(), launch, steps + 3)), device)
        if not launch.gpu:  # the profiler takes time of its own
            trials.append(run_trial(make(), launch, steps + 3))
    except Exception as error:
        if is_out_of_memory(error):
            return None
        raise
    planned = estimate(empty_networks(make()), launch).parts
    tensors = sum(size for name, size in planned.items() if name != "allowance")
    return Training(trials[-1], statistics.median(trials[-1].seconds[2:]), peak, tensors)
