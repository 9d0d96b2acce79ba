"""What is known of the run that a checkpoint comes from: its step, its kind, and the metrics logged then."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.checkpoints.format import EMA, is_ours


@dataclass(frozen=True)
class TrainingRun:
    """Attributes:
    step: optimizer steps of training, or None where the source is no checkpoint of ours.
    metrics: by name, such as `val/pose/AP`, as last logged at that step or before; empty where no log is found.
    notes: what was done to the weights on the way, for people to read.
    """

    step: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, heads: Collection[str]) -> "TrainingRun":
        """Return the same, with the metrics of these heads alone."""
        own = {name: value for name, value in self.metrics.items() if name.split("/")[1] in heads}
        return replace(self, metrics=own)


def read_run(source: str | Path, *, ema: bool = True) -> TrainingRun:
    """Return the facts of a checkpoint of ours, with TensorBoard's log of its run where that lies beside it.

    Args:
        source: the file or, of a sharded one, the folder; anything else has no facts.
        ema: whether averaged weights are taken where there are some.
    """
    path = Path(source).expanduser().resolve()
    content = read_content(path)
    if not isinstance(content.get("global_step"), int):
        return TrainingRun()
    run = path.parents[1] if path.parent.name == "checkpoints" else path.parent
    step = content["global_step"]
    return TrainingRun(step, logged_metrics(run, step), notes(content, ema))


def read_content(path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint of ours holds, its tensors mapped and not read; nothing where it is none."""
    path = path / "meta.pt" if path.is_dir() else path
    if not path.is_file() or not (path.suffix == ".ckpt" or path.name == "meta.pt"):
        return {}
    content = read_pickle(path)
    return content if is_ours(content) or path.name == "meta.pt" else {}


def notes(content: Mapping[str, Any], ema: bool) -> tuple[str, ...]:
    found = []
    if (content.get("sapiens2_lit", {}).get("adapt") or {}).get("mode") == "lora":
        found.append("LoRA adapters are merged into the weights")
    if any(name.startswith(EMA) for name in content.get("state_dict", {})):
        found.append(
            "weights are their moving average" if ema else "weights are the last ones, not their average"
        )
    return tuple(found)


def logged_metrics(run: Path, step: int) -> dict[str, float]:
    """The last finite value up to `step` of every validation metric in TensorBoard's events in the folder `run`."""
    if not any(run.glob("events.out.tfevents.*")):
        return {}
    # imported here: it takes a second that exports without a run need not wait
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
