"""Describe where a tested model comes from: data, networks, size, dates and durations, and its training curves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

from sapiens2_lit.checkpoints.reader import read_step
from sapiens2_lit.report.curves import Curve, read_curves
from sapiens2_lit.report.runs import read_run
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.visualization.words import count, duration


def facts_of(
    trainer: L.Trainer, module: SapiensModule, run: Path | None, tested: int, seconds: float
) -> dict[str, str]:
    """Return the main facts about a test, by name.

    Args:
        trainer: After the test.
        module: That was tested.
        run: Folder of its training; None if unknown.
        tested: Number of samples.
        seconds: Duration of the test.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]  # the command sets it
    facts = {
        "data": _place(data),
        "samples tested": f"{tested:,}",
        "model": _model(module),
        "parameters": count(sum(one.numel() for one in module.network.parameters())),
        "input size": _size(data, module),
        "checkpoint": str(trainer.ckpt_path or module.weights or "fresh weights"),
        "step": _step(trainer.ckpt_path),
        "trained for": _trained_for(run),
        "tested on": time.strftime("%Y-%m-%d %H:%M"),
        "test took": duration(seconds),
    }
    return {name: text for name, text in facts.items() if text}


def curves_of_run(run: Path | None) -> dict[str, Curve]:
    """Return curves by name, from the run's table of metrics, else from its events."""
    if run is None:
        return {}
    table = run / "metrics.csv"
    curves = read_run(run, run.name).curves if table.is_file() else read_curves(run)
    return {name: curve for name, curve in curves.items() if len(curve) > 1}


def _place(data: Any) -> str:
    parts = getattr(data, "datamodules", None)
    if isinstance(parts, Mapping):
        return "; ".join(f"{name}: {_place(part)}" for name, part in parts.items())
    root = getattr(data, "root", None)
    return str(root) if root is not None else type(data).__name__


def _model(module: SapiensModule) -> str:
    backbone = module.network.backbone
    chosen = (module.config or {}).get("model", {}).get("backbone") or {}
    size = (chosen.get("init_args") or {}).get("size") if isinstance(chosen, Mapping) else None
    name = f"{type(backbone).__name__} {size}" if size else type(backbone).__name__
    return f"{name} with {', '.join(head for head, _ in module.named_heads())}"


def _size(data: Any, module: SapiensModule) -> str:
    size = getattr(data, "image_size", None) or module.network.backbone.image_size
    return f"{size[0]} x {size[1]} (height x width)" if size else ""


def _step(checkpoint: Any) -> str:
    step = read_step(checkpoint) if checkpoint and Path(checkpoint).exists() else None
    return "" if step is None else f"{step:,}"


def _trained_for(run: Path | None) -> str:
    """Return the time from the first written settings to the newest checkpoint, pauses included."""
    if run is None or not (run / "config.yaml").is_file():
        return ""
    ends = [path.stat().st_mtime for path in (run / "checkpoints").glob("*")]
    begun = (run / "config.yaml").stat().st_mtime
    return duration(max(ends) - begun) if ends and max(ends) > begun else ""
