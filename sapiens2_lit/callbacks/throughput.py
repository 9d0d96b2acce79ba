"""How fast a run is, what it waits for, and what it takes: in the log of every run."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities import rank_zero_info

from sapiens2_lit.memory.cards import find_card, peak_flops
from sapiens2_lit.memory.estimate import GIB
from sapiens2_lit.memory.flops import TrainingFlops, training_flops
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.backbone_module import BackboneModule

FETCH = (
    "train_dataloader_next"  # how Lightning's training loop calls the fetching of a batch for its profilers
)


@dataclass(frozen=True)
class Speed:
    """Of the steps since the last log step.

    Attributes:
        images: a second, over all devices.
        waiting: share of the time that the loop waited for its next batch, 0 to 1; None where that is not measured.
    """

    images: float
    waiting: float | None = None


class DataWait(PassThroughProfiler):
    """Adds up the seconds in which the training loop waits for its next batch, whatever loader it has.

    Args:
        clock: seconds, ever growing.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.clock = clock
        self.seconds = 0.0
        self.count = 0  # of fetched batches
        self._since = 0.0

    def start(self, action_name: str) -> None:
        if action_name.endswith(FETCH):
            self._since = self.clock()

    def stop(self, action_name: str) -> None:
        if action_name.endswith(FETCH):
            self.seconds += self.clock() - self._since
            self.count += 1


class Throughput(L.Callback):
    """Logs at every log step how the steps since the last one went; no step waits for the device for it.

    throughput/images_per_second, over all devices, without validation;
    throughput/waiting_for_data, a share of that time, 0 to 1, on the first process;
    throughput/model_flop_utilization, 0 to 1, on cards whose peak is known (`memory.cards`);
    memory/gpu_peak_gib, the most that was allocated on this device so far, or, without a GPU, memory/process_gib, what
    this process takes now.

    Args:
        wait: the Trainer's profiler, which measures the waiting; None where the user has another one.
        clock: seconds, ever growing.

    Attributes:
        speed: at the last log step; None before.
        image_rate: images a second over the whole run, without validation; None before a step is done.
    """

    def __init__(self, wait: DataWait | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.wait, self.clock = wait, clock
        self.speed: Speed | None = None
        self.flops: TrainingFlops | None = None
        self.peak = 0.0
        self._seen_step = 0
        self._images = self._work = 0.0
        self._began = self._waited = self._paused = self._pause = 0.0
        self._all_images = self._all_seconds = 0.0

    @property
    def image_rate(self) -> float | None:
        return self._all_images / self._all_seconds if self._all_seconds > 0 else None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, BackboneModule)
        self._seen_step, self._all_images, self._all_seconds = trainer.global_step, 0.0, 0.0
        self._begin()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, BackboneModule)
        if pl_module.device.type == "cuda" and not self.peak:
            self.peak, self.flops = card_and_flops(trainer, pl_module, batch)
            self._begin()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, BackboneModule)
        self._images += count_images(batch)
        if self.flops is not None:
            self._work += batch_flops(self.flops, pl_module, batch)
        step = trainer.global_step
        stepped, self._seen_step = step != self._seen_step, step
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it elsewhere
        if stepped and every > 0 and step % every == 0:
            pl_module.log_dict(self.measure(trainer, pl_module), batch_size=1)
            self._begin()

    def measure(self, trainer: L.Trainer, module: BackboneModule) -> dict[str, float]:
        """Return what is logged of the steps since the last log step."""
        seconds = max(self.clock() - self._began - self._paused, 1e-9)
        ranks = (trainer.distributed_sampler_kwargs or {}).get("num_replicas", 1)
        waiting = None
        if self.wait is not None and self.wait.count:
            waiting = min(1.0, (self.wait.seconds - self._waited) / seconds)
        self.speed = Speed(ranks * self._images / seconds, waiting)
        self._all_images += ranks * self._images
        self._all_seconds += seconds
        found = {"throughput/images_per_second": self.speed.images}
        if waiting is not None:
            found["throughput/waiting_for_data"] = waiting
        if self.peak > 0 and self.flops is not None and module.feature_cache is None:
            found["throughput/model_flop_utilization"] = self._work / seconds / self.peak
        return found | memory_taken(module.device)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._pause = self.clock()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._paused += self.clock() - self._pause

    def _begin(self) -> None:
        self._images = self._work = self._paused = 0.0
        self._waited = self.wait.seconds if self.wait is not None else 0.0
        self._began = self.clock()


def count_images(batch: Mapping[str, Any]) -> int:
    """Images of a training batch, or of the batches of several datasets in it."""
    return sum(len(part["image"]) for part in parts_of(batch) if "image" in part)


def parts_of(batch: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the batches in a batch: of several datasets by the schedule `all`, else itself."""
    return list(batch["batches"].values()) if "batches" in batch else [batch]


def batch_flops(flops: TrainingFlops, module: BackboneModule, batch: Mapping[str, Any]) -> float:
    """Return what a batch takes: of the heads, those count whose labels it has."""
    work = 0.0
    for part in parts_of(batch):
        taught = [
            name
            for name, head in module.named_heads()
            if all(key in part for key in getattr(head, "targets", ()))
        ]
        work += len(part["image"]) * flops.of(taught)
    return work


def card_and_flops(
    trainer: L.Trainer, module: BackboneModule, batch: Mapping[str, Any]
) -> tuple[float, TrainingFlops | None]:
    """Return the peak of this process's card, below 0 where it is not known, and what an image takes."""
    card = find_card(torch.cuda.get_device_name(module.device))
    if card is None or module.adaptation is None:
        return -1.0, None
    tf32 = torch.get_float32_matmul_precision() != "highest"
    image = parts_of(batch)[0]["image"]
    try:
        with torch.random.fork_rng(devices=[]):  # training is the same with and without the count
            networks = empty_networks(
                module, adapt=module.adaptation.adapt, checkpointing=False, head_checkpointing="none"
            )
            flops = training_flops(networks, (image.shape[-2], image.shape[-1]))
    except Exception as error:  # a head of the user's own may do what cannot be counted; its training goes on
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        rank_zero_info("throughput/model_flop_utilization: not measured (%s)", reason)
        return -1.0, None
    return peak_flops(card, str(trainer.precision), tf32), flops


def memory_taken(device: torch.device) -> dict[str, float]:
    """The most that was allocated on a GPU, or what this process takes, in GiB; nothing where neither is known."""
    if device.type == "cuda":
        return {"memory/gpu_peak_gib": torch.cuda.max_memory_allocated(device) / GIB}
    held = process_bytes()
    return {} if held is None else {"memory/process_gib": held / GIB}


def process_bytes() -> int | None:
    """Memory of this process that is resident, or the most there was, where the system tells that alone."""
    statm = Path("/proc/self/statm")
    try:
        import resource  # not there on Windows
    except ImportError:
        return None
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
