"""What is known of the run that a checkpoint comes from: its step and the metrics logged then."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sapiens2_lit.checkpoints.reader import read_pickle


@dataclass(frozen=True)
class RunFacts:
    """Attributes:
    step: optimizer steps of training, or None where the source is no checkpoint of ours.
    metrics: by name, such as `val/pose/AP`, as last logged at that step or before; empty where no log is found.
    """

    step: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def of(self, heads: Collection[str]) -> "RunFacts":
        """The same, with the metrics of these heads alone."""
        own = {name: value for name, value in self.metrics.items() if name.split("/")[1] in heads}
        return RunFacts(self.step, own)


def read_run(source: str | Path) -> RunFacts:
    """The facts of a checkpoint of ours, with TensorBoard's log of its run where that lies beside it."""
    path = Path(source).expanduser()
    if not path.is_file() or path.suffix != ".ckpt":
        return RunFacts()
    content = read_pickle(path)
    step = content.get("global_step") if isinstance(content, Mapping) else None
    if not isinstance(step, int):
        return RunFacts()
    run = path.resolve().parents[1] if path.resolve().parent.name == "checkpoints" else path.resolve().parent
    return RunFacts(step, logged_metrics(run, step))


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
