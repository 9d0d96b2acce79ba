"""Read facts of the run that a checkpoint comes from: its step, its kind, and the metrics logged by then."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.checkpoints.format import EMA, is_ours


@dataclass(frozen=True)
class TrainingRun:
    """Facts of a training.

    Attributes:
        step: Optimizer steps of training; None if the source is not a checkpoint of a run.
        metrics: By name, such as `val/pose/AP`, as last logged up to that step; empty if no log is found.
        notes: Changes of the weights on the way, for people to read.
    """

    step: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, heads: Collection[str]) -> "TrainingRun":
        """Return the same facts with the metrics of these heads alone."""
        own = {name: value for name, value in self.metrics.items() if name.split("/")[1] in heads}
        return replace(self, metrics=own)


def read_run(source: str | Path, *, ema: bool = True) -> TrainingRun:
    """Return the facts of a run's checkpoint, with TensorBoard's log if it lies beside it.

    Args:
        source: The file, or the folder of a sharded checkpoint; anything else has no facts.
        ema: Whether averaged weights are used if there are any.
    """
    path = Path(source).expanduser().resolve()
    content = read_content(path)
    if not isinstance(content.get("global_step"), int):
        return TrainingRun()
    run = path.parents[1] if path.parent.name == "checkpoints" else path.parent
    step = content["global_step"]
    return TrainingRun(step, logged_metrics(run, step), notes(content, ema))


def read_content(path: Path) -> Mapping[str, Any]:
    """Return the content of a run's checkpoint, its tensors mapped and not read; empty for other files."""
    path = path / "meta.pt" if path.is_dir() else path
    if not path.is_file() or not (path.suffix == ".ckpt" or path.name == "meta.pt"):
        return {}
    content = read_pickle(path)
    return content if is_ours(content) or path.name == "meta.pt" else {}


def notes(content: Mapping[str, Any], ema: bool) -> tuple[str, ...]:
    """Return changes of the weights, for people to read."""
    found = []
    if (content.get("sapiens2_lit", {}).get("adapt") or {}).get("mode") == "lora":
        found.append("LoRA adapters are merged into the weights")
    if any(name.startswith(EMA) for name in content.get("state_dict", {})):
        found.append(
            "weights are their moving average" if ema else "weights are the last ones, not their average"
        )
    return tuple(found)


def logged_metrics(run: Path, step: int) -> dict[str, float]:
    """Return the last finite value up to `step` of every validation metric in TensorBoard's events of a run."""
    if not any(run.glob("events.out.tfevents.*")):
        return {}
    # imported here, since it takes a second, which exports without a run do not need
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 1}).Reload()
    metrics = {}
    for name in log.Tags()["scalars"]:
        if not name.startswith("val/"):
            continue
        values = [
            event.value for event in log.Scalars(name) if event.step <= step and math.isfinite(event.value)
        ]
        if values:
            metrics[name] = values[-1]
    return metrics
