"""What every dense task learns from nothing, held against the best constant prediction.

    python benchmarks/learn.py [--tasks normal depth ...] [--steps 300] [--num 500] [--output runs/learn]

Generates synthetic people once, trains the smallest backbone on each task alone on a CPU, and prints one row a task:
the metric on held-out people, and the same metric of a constant that the training labels suggest.
"""

import os
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import torch
from torch import Tensor

from sapiens2_lit.geometry import unproject
from sapiens2_lit.run import run
from sapiens2_lit.synthetic.dataset import make_dataset
from sapiens2_lit.synthetic.manifest import Settings

Batch = dict[str, Any]
SIZE = (96, 64)


def mean(batches: Iterable[Batch], key: str, valid: bool = True) -> Tensor:
    """Mean over all pixels that count of a field (B, C, H, W), as (1, C, 1, 1)."""
    total, count = 0.0, 0
    for batch in batches:
        field = batch[key].double()
        mask = batch["valid"] if valid else torch.ones_like(field[:, :1], dtype=torch.bool)
        total = total + (field * mask).sum((0, 2, 3))
        count += int(mask.sum())
    return (total / count).float()[None, :, None, None]


def constant_class(batches: Iterable[Batch]) -> Tensor:
    """The commonest class of people."""
    counts = sum(torch.bincount(batch["segmentation"].flatten(), minlength=256)[:255] for batch in batches)
    return counts[1:].argmax() + 1


def predict_class(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    return constant.expand_as(batch["segmentation"]), batch["segmentation"]


def predict_field(key: str, valid: bool = True) -> Callable[[Tensor, Batch], tuple[Tensor, ...]]:
    def predict(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        field = batch[key]
        mask = batch["valid"] if valid else torch.ones_like(field[:, :1], dtype=torch.bool)
        return constant.expand_as(field), field, mask

    return predict


def predict_wall(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    """A wall at the mean depth, on the rays of the true cameras: more than a constant could know."""
    points = batch["pointmap"]
    return unproject(constant[:, 2:].expand_as(points[:, 2:]), batch["intrinsics"]), points, batch["valid"]


@dataclass(frozen=True)
class Task:
    """A configuration, its head, the member of the head's metrics and the value of it, and what a constant predicts."""

    config: str
    head: str
    member: str
    metric: str
    constant: Callable[[Iterable[Batch]], Tensor]
    predict: Callable[[Tensor, Batch], tuple[Tensor, ...]]


TASKS = {
    "segmentation": Task(
        "segmentation_29.yaml", "seg", "segmentation", "foreground_mIoU", constant_class, predict_class
    ),
    "normal": Task(
        "normal.yaml", "normal", "normal", "mean_angle", lambda b: mean(b, "normal"), predict_field("normal")
    ),
    "depth": Task(
        "depth.yaml", "depth", "depth", "abs_rel", lambda b: mean(b, "depth"), predict_field("depth")
    ),
    "pointmap": Task(
        "pointmap.yaml", "pointmap", "points", "l2", lambda b: mean(b, "pointmap"), predict_wall
    ),
    "albedo": Task(
        "albedo.yaml", "albedo", "albedo", "psnr", lambda b: mean(b, "albedo"), predict_field("albedo")
    ),
    "matting": Task(
        "matting.yaml",
        "matting",
        "matting",
        "sad",
        lambda b: mean(b, "alpha", False),
        predict_field("alpha", False),
    ),
}


def learn(task: Task, root: Path, output: Path, steps: int) -> tuple[float, float, float]:
    """Metric of the trained head and of the constant, and minutes of training."""
    command = ["fit", "--config", task.config, "--config", "size/nano.yaml", "--data.root", str(root)]
    command += ["--output", str(output), "--trainer.max_steps", str(steps), "--trainer.devices", "1"]
    command += ["--trainer.accelerator", "cpu", "--data.image_size", f"[{SIZE[0]}, {SIZE[1]}]"]
    command += ["--data.augment", "null", "--data.num_workers", "1", "--data.val", "null"]
    command += ["--model.optimizer.lr", "2e-3", "--model.warmup_steps", "30", "--pictures.num_samples", "0"]
    command += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    start = time.perf_counter()
    cli = run(command)
    minutes = (time.perf_counter() - start) / 60
    (found,) = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)

    head = dict(cli.model.named_heads())[task.head]
    metrics = head.metrics(cli.datamodule, "test")
    constant = task.constant(cli.datamodule.train_dataloader())
    chosen = metrics[task.member]
    for batch in cli.datamodule.test_dataloader():
        chosen.update(*task.predict(constant, batch))
    return found[f"test/{task.head}/{task.metric}"], float(chosen.compute()[task.metric]), minutes


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--num", type=int, default=500, help="pictures, of which a tenth is held out")
    parser.add_argument("--output", type=Path, default=Path("runs/learn"))
    options = parser.parse_args()
    root = options.output / "people"
    make_dataset(root, options.num, Settings(size=(192, 128)))
    rows = []
    for name in options.tasks:
        trained, constant, minutes = learn(TASKS[name], root, options.output / name, options.steps)
        rows.append(f"| {name} | {TASKS[name].metric} | {trained:.3f} | {constant:.3f} | {minutes:.1f} |")
        print(rows[-1], flush=True)
    print("\n| task | metric | trained | constant | minutes |\n|---|---|---|---|---|\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
