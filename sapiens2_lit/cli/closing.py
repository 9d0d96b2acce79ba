"""The last lines of `fit`: what was achieved, where it is, and the commands that come next."""

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

NEXT_STEPS = 2  # times as many steps, in the command that goes on
FILES = ("curves.png", "predictions.png", "labels.png", "train_batch.png", NAME, "config.yaml")


def closing_lines(trainer: L.Trainer, data: Any, settings: Namespace, folder: Path, seconds: float) -> str:
    """Return what `fit` says at its end.

    Args:
        trainer: that has trained.
        data: its datamodule.
        settings: of `fit`, instantiated.
        folder: of the run.
        seconds: that training took.
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
    rates = [one.image_rate for one in trainer.callbacks if isinstance(one, Throughput)]  # type: ignore[attr-defined]
    return f", {rates[0]:.1f} images/s" if rates and rates[0] else ""


def best_line(checkpoint: Any, best: Path | None, folder: Path) -> str:
    """Return the best score, at which step, and its file."""
    name = checkpoint.monitor
    if best is None:
        return f"no {name} was measured, so that no best state is known; the newest is checkpoints/last.ckpt"
    score = checkpoint.best_model_score
    value = "" if score is None else f" {float(score):.4f}"
    step = step_of(best, name, None if score is None else float(score), folder)
    return f"best {name}{value}" + ("" if step is None else f" at step {step:,}") + f": {best}"


def step_of(best: Path, monitor: str, score: float | None, folder: Path) -> int | None:
    """Return the step of the best checkpoint, by its name, or else by the run's table of numbers."""
    if found := re.search(r"step=(\d+)", best.name):
        return int(found[1])
    table = folder / NAME
    rows = read_rows(table) if table.exists() else []
    steps = [int(row[STEP]) + 1 for row in rows if monitor in row and float(row[monitor]) == score]
    return steps[-1] if steps else None


def next_commands(trainer: L.Trainer, data: Any, model: Path, folder: Path, last: Path) -> list[str]:
    """Commands that can be run as they are."""
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
    """Whether the data have a split to test on."""
    parts = datamodule_parts(data).values()
    try:
        return all(hasattr(part, "split_exists") and part.split_exists("test") for part in parts)
    except SapiensError:
        return False


def pictures_of(data: Any) -> str:
    """Return a folder with pictures that is there, if the data know one; else a word for the user's own."""
    for part in datamodule_parts(data).values():
        root, images = getattr(part, "root", None), getattr(part, "images", None)
        if isinstance(root, Path) and isinstance(images, str) and (root / images).is_dir():
            return str(root / images)
    return "PHOTOS"
