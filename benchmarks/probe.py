"""Whether `probe` tells a backbone that has learned from one that has not, in minutes on two cores.

    python benchmarks/probe.py [--steps 175] [--output runs/probe]

Generates 800 people, trains a nano backbone on their segmentation into three parts, probes it beside the same network
with fresh weights on the 80 people of the test split, and prints the rows with their intervals and the CPU seconds of
each part, worker processes included.
"""

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

from sapiens2_lit.cli.main import main

SIZE = (128, 96)
CLASSES = "body3"  # 29 classes take more than minutes to learn from nothing


def cpu_seconds() -> float:
    """Of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run(what: str, args: Sequence[str | int | Path]) -> None:
    """Run a command of sapiens2-lit, and say what it took."""
    before = cpu_seconds()
    if status := main([str(arg) for arg in args]):
        raise SystemExit(status)
    sys.stdout.write(f"{what}: {cpu_seconds() - before:.0f} CPU seconds\n")


def train(output: Path, steps: int) -> Path:
    """The people, and the run that learned from them."""
    people, nano = output / "people", output / "nano"
    generate = ("--size", *SIZE, "--tasks", "segmentation", "--num", 800)
    run("generate", ["synth", people, *generate])
    configs = ("--config", "segmentation_29.yaml", "--config", "size/nano.yaml")
    head = ("--model.heads.seg.classes", CLASSES, "--model.heads.seg.decoder", "linear")
    data = ("--data.root", people, "--data.classes", CLASSES, "--data.val", "null", "--data.num_workers", 1)
    trainer = ("--trainer.max_steps", steps, "--trainer.max_epochs", -1, "--trainer.accelerator", "cpu")
    run("train", ["fit", *configs, *head, *data, *trainer, "--output", nano])
    return nano / "last"


def compare(output: Path, nano: Path) -> None:
    """Probe the run's backbone, and print its rows."""
    data = ("--data.root", output / "people", "--data.classes", CLASSES, "--data.image_size", *SIZE)
    budget = ("--tasks", "segmentation", "--probes", "linear", "--steps", 150, "--data.num_workers", 0)
    command = ("probe", "--config", "probe.yaml", "--backbones", f"nano={nano}")
    run("probe", [*command, *data, *budget, "--output", output / "page"])
    found = json.loads((output / "page" / "results.json").read_text())["backbones"]
    for label, row in found.items():
        score = row["segmentation"]["mIoU"]
        low, high = score["interval"]
        sys.stdout.write(
            f"| {label} | {score['mean']:.3f} ± {score['std']:.3f} | {low:.3f} to {high:.3f} |\n"
        )
    nano_row, random_row = (found[label]["segmentation"]["mIoU"]["interval"] for label in ("nano", "random"))
    sys.stdout.write(f"disjoint intervals: {nano_row[0] > random_row[1]}\n")


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=175)
    parser.add_argument("--output", type=Path, default=Path("runs/probe"))
    options = parser.parse_args()
    compare(options.output, train(options.output, options.steps))
