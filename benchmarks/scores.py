"""The score of a short run on few pictures, and which checkpoint it keeps as the best.

    python benchmarks/scores.py [--steps 60] [--num 44] [--output runs/scores]

Generates people and trains `pose_17.yaml` with `size/nano.yaml` from nothing on a CPU, as `sapiens2-lit synth` and
`fit` do. AP is 0 for all of such a run: the table shows what `val/score` makes of it.
"""

import os
from argparse import ArgumentParser
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sapiens2_lit.cli.find_run import find_checkpoint
from sapiens2_lit.cli.main import main as sapiens2_lit

SHOWN = ("val/score", "val/pose/AP", "val/pose/PCK@0.05", "val/pose/PCK@0.1", "val/loss")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--num", type=int, default=44, help="pictures, of which a tenth is for validation")
    parser.add_argument("--output", type=Path, default=Path("runs/scores"))
    options = parser.parse_args()
    root, runs = options.output / "people", options.output / "runs"
    done = sapiens2_lit(
        ["synth", str(root), "--num", str(options.num), "--size", "128", "96", "--tasks", "pose"]
    )
    command = ["fit", "--config", "pose_17.yaml", "--config", "size/nano.yaml", "--data.root", str(root)]
    command += ["--trainer.max_steps", str(options.steps), "--output", str(runs)]
    command += ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--data.num_workers", "0"]
    command += ["--trainer.enable_progress_bar", "false", "--pictures.num_samples", "0"]
    if done or sapiens2_lit(command):
        raise SystemExit(1)
    best = find_checkpoint("best", runs)
    assert best is not None
    events = EventAccumulator(str(Path(best).parents[1]), size_guidance={"scalars": 0}).Reload()
    values = {name: {event.step: event.value for event in events.Scalars(name)} for name in SHOWN}
    print("| step | " + " | ".join(SHOWN) + " |\n|---|" + "---|" * len(SHOWN))
    for step in values["val/score"]:
        print(f"| {step} | " + " | ".join(f"{values[name][step]:.4f}" for name in SHOWN) + " |")
    print(f"best: {Path(best).name}, of step {torch.load(best, weights_only=True)['global_step']}")


if __name__ == "__main__":
    main()
