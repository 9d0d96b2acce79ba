"""Print the metrics of `test` and `validate`, and write all of them to a file."""

import json
import math
from collections.abc import Sized
from pathlib import Path
from typing import Any

import lightning as L

from sapiens2_lit.atomic_write import write_whole
from sapiens2_lit.report.headlines import headlines, table_of
from sapiens2_lit.training.evaluator import LOG_NAMES
from sapiens2_lit.training.module import SapiensModule

FILE = "metrics.json"
SPLITS = {"test": "test", "validate": "val"}


def measured_lines(
    trainer: L.Trainer, module: SapiensModule, data: Any, command: str, checkpoint: str | None, folder: Path
) -> str:
    """Write `metrics.json`, and return its ten most important metrics as text for the terminal.

    Args:
        trainer: After the evaluation.
        module: The evaluated module.
        data: Its datamodule.
        command: `test` or `validate`.
        checkpoint: That was evaluated; None if unknown.
        folder: For the file.
    """
    stage = LOG_NAMES[command]
    found = {
        name.removeprefix(f"{stage}/"): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith(f"{stage}/")
    }
    samples = count_samples(data, SPLITS[command])
    content = {
        "command": command,
        "checkpoint": checkpoint,
        "samples": samples,
        "metrics": {name: value if math.isfinite(value) else None for name, value in found.items()},
    }
    write_whole(folder / FILE, (json.dumps(content, indent=2) + "\n").encode())
    if not found:
        return f"nothing was measured: the data of {stage} have no labels of any head"
    first = {name: (head.monitor[0], *head.headline) for name, head in module.named_heads()}
    names = headlines(found, first)
    on = "" if samples is None else f", {samples} samples"
    more = len(found) - len(names)
    return "\n".join(
        [
            f"{command} of {checkpoint}{on}",
            table_of(found, names, f"{stage}/"),
            (f"{more} more numbers: " if more else "") + str(folder / FILE),
        ]
    )


def count_samples(data: Any, split: str) -> int | None:
    """Return the number of samples of a split, over all datasets; None if the data do not tell."""
    datasets = getattr(data, "datasets", None) or {}
    found = (
        [datasets[split]]
        if split in datasets
        else [
            part.datasets[split]
            for part in datasets.values()
            if split in (getattr(part, "datasets", None) or {})
        ]
    )
    counts = [len(one) for one in found if isinstance(one, Sized)]
    return sum(counts) if counts else None
