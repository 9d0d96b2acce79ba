"""Write the last lines of `fit`: what the run achieved, where it is, and the commands that come next."""

import re
import shlex
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import Namespace

from sapiens2_lit.callbacks.run_log import NAME, STEP, read_rows
from sapiens2_lit.callbacks.throughput import Throughput
from sapiens2_lit.datamodules.parts import datamodule_parts
from sapiens2_lit.errors import SapiensError
from sapiens2_lit.training.distillation.speed import speed_lines
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.visualization.words import duration

NEXT_STEPS = 2  # factor on the steps, in the command that resumes
FILES = ("curves.png", "predictions.png", "labels.png", "train_batch.png", NAME, "config.yaml")


def closing_lines(trainer: L.Trainer, data: Any, settings: Namespace, folder: Path, seconds: float) -> str:
    """Return the last lines of `fit`.

    Args:
        trainer: After training.
        data: Its datamodule.
        settings: Of `fit`, instantiated.
        folder: Of the run.
        seconds: Duration of the training.
    """
    checkpoints = settings.trainer.enable_checkpointing is not False
    module = trainer.lightning_module
    speeds = module.teaching.speeds if isinstance(module, SapiensModule) else []
    lines = ["", f"trained to step {trainer.global_step:,} in {duration(seconds)}{pace(trainer)}"]
    best = (
        Path(settings.checkpoint.best_model_path)
        if checkpoints and settings.checkpoint.best_model_path
        else None
    )
    lines.append(
        best_line(settings.checkpoint, best, folder)
        if checkpoints
        else "checkpoints are switched off: nothing is kept"
    )
    lines += speed_lines(speeds)
    there = [name for name in FILES if (folder / name).exists()]
    lines.append(f"run: {folder}" + (f" ({', '.join(there)})" if there else ""))
    last = folder / "checkpoints" / "last.ckpt"
    if best is not None or last.exists():
        model = folder if best is not None else folder / "last"
        lines += ["next:", *(f"  {one}" for one in next_commands(trainer, data, model, folder, last))]
    return "\n".join(lines)


def pace(trainer: L.Trainer) -> str:
    """Return the images per second as text; empty if they were not measured."""
    rates = [one.image_rate for one in trainer.callbacks if isinstance(one, Throughput)]  # type: ignore[attr-defined]
    return f", {rates[0]:.1f} images/s" if rates and rates[0] else ""


def best_line(checkpoint: Any, best: Path | None, folder: Path) -> str:
    """Return a line with the best score, its step and its file.

    Args:
        checkpoint: The `BestCheckpoint` callback.
        best: File of the best checkpoint; None if there is none.
        folder: Of the run.
    """
    name = checkpoint.monitor
    if best is None:
        return f"no {name} was measured, so that no best state is known; the newest is checkpoints/last.ckpt"
    score = checkpoint.best_model_score
    value = "" if score is None else f" {float(score):.4f}"
    step = step_of(best, name, None if score is None else float(score), folder)
    return f"best {name}{value}" + ("" if step is None else f" at step {step:,}") + f": {best}"


def step_of(best: Path, monitor: str, score: float | None, folder: Path) -> int | None:
    """Return the step of the best checkpoint, from its name, or else from the run's table of metrics; None if unknown.

    Args:
        best: File of the checkpoint.
        monitor: Name of the metric.
        score: Its best value.
        folder: Of the run.
    """
    if found := re.search(r"step=(\d+)", best.name):
        return int(found[1])
    table = folder / NAME
    rows = read_rows(table) if table.exists() else []
    steps = [int(row[STEP]) + 1 for row in rows if monitor in row and float(row[monitor]) == score]
    return steps[-1] if steps else None


def next_commands(trainer: L.Trainer, data: Any, model: Path, folder: Path, last: Path) -> list[str]:
    """Return commands that can be run as they are.

    Args:
        trainer: After training.
        data: Its datamodule.
        model: What `--model` names.
        folder: Of the run.
        last: File of the last checkpoint, which need not exist.
    """
    measure = "test" if has_test(data) else "validate"
    config = folder / "config.yaml"
    ended = trainer.global_step >= trainer.max_steps or trainer.max_steps < 0
    more = trainer.global_step * NEXT_STEPS if ended else trainer.max_steps
    commands: list[tuple[object, ...]] = [
        (measure, "--model", model),
        ("predict", "--model", model, "--images", pictures_of(data), "--output", folder / "predictions"),
        ("export", "--model", model, "--output", folder / "onnx", "--format", "onnx"),
    ]
    if last.exists() and config.exists():
        go_on = ("fit", "--config", config, "--ckpt_path", last)
        commands.append((*go_on, "--trainer.max_steps", more))
    return [shlex.join(["sapiens2-lit", *map(str, command)]) for command in commands]


def has_test(data: Any) -> bool:
    """Return whether the data have a test split."""
    parts = datamodule_parts(data).values()
    try:
        return all(hasattr(part, "split_exists") and part.split_exists("test") for part in parts)
    except SapiensError:
        return False


def pictures_of(data: Any) -> str:
    """Return a folder of pictures that exists, if the data name one; otherwise a placeholder."""
    for part in datamodule_parts(data).values():
        root, images = getattr(part, "root", None), getattr(part, "images", None)
        if isinstance(root, Path) and isinstance(images, str) and (root / images).is_dir():
            return str(root / images)
    return "PHOTOS"
