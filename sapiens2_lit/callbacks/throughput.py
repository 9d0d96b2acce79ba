"""Log how fast a run is, how long it waits for data, and the memory that it takes."""

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

FETCH = "train_dataloader_next"  # Lightning's name of fetching a batch, for its profilers


@dataclass(frozen=True)
class Speed:
    """Speed of the steps since the last log step.

    Attributes:
        images: Per second, over all devices.
        waiting: Share of the time that the loop waited for its next batch, 0 to 1; None if it is not measured.
    """

    images: float
    waiting: float | None = None


class DataWait(PassThroughProfiler):
    """Sums the seconds in which the training loop waits for its next batch, with any loader.

    Args:
        clock: Returns seconds that never decrease.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.clock = clock
        self.seconds = 0.0
        self.count = 0  # of fetched batches
        self._since = 0.0

    def start(self, action_name: str) -> None:
        """Start the clock, if the action is the fetching of a batch."""
        if action_name.endswith(FETCH):
            self._since = self.clock()

    def stop(self, action_name: str) -> None:
        """Stop the clock, if the action is the fetching of a batch."""
        if action_name.endswith(FETCH):
            self.seconds += self.clock() - self._since
            self.count += 1


class Throughput(L.Callback):
    """Logs the speed of the steps since the last log step; measuring makes no step wait for the device.

    throughput/images_per_second, over all devices, without validation;
    throughput/waiting_for_data, a share of that time, 0 to 1, on the first process;
    throughput/model_flop_utilization, 0 to 1, on cards whose peak is known (`memory.cards`);
    memory/gpu_peak_gib, the most that was allocated on this device so far, or, without a GPU, memory/process_gib, the
    current memory of this process.

    Args:
        wait: The Trainer's profiler, which measures the waiting; None if the user has another one.
        clock: Returns seconds that never decrease.

    Attributes:
        speed: At the last log step; None before.
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
        """Images per second over the whole run, without validation; None before a step is done."""
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
        """Return the logged values of the steps since the last log step."""
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
    """Return the number of images of a training batch, or of the batches of several datasets in it."""
    return sum(len(part["image"]) for part in parts_of(batch) if "image" in part)


def parts_of(batch: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the batches in a batch: those of several datasets by the schedule `all`, else the batch itself."""
    return list(batch["batches"].values()) if "batches" in batch else [batch]


def batch_flops(flops: TrainingFlops, module: BackboneModule, batch: Mapping[str, Any]) -> float:
    """Return the operations of a batch, including only heads whose labels it has.

    Args:
        flops: Of an image.
        module: That is trained.
        batch: Of the training data.
    """
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
    """Return the peak rate of this process's card, negative if unknown, and the operations of an image.

    Args:
        trainer: Of the run.
        module: That is trained.
        batch: Of the training data.
    """
    card = find_card(torch.cuda.get_device_name(module.device))
    if card is None or module.adaptation is None:
        return -1.0, None
    tf32 = torch.get_float32_matmul_precision() != "highest"
    image = parts_of(batch)[0]["image"]
    try:
        with torch.random.fork_rng(devices=[]):  # training must not depend on the count
            networks = empty_networks(
                module, adapt=module.adaptation.adapt, checkpointing=False, head_checkpointing="none"
            )
            flops = training_flops(networks, (image.shape[-2], image.shape[-1]))
    except Exception as error:  # a custom head may do what cannot be counted; training continues
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        rank_zero_info("throughput/model_flop_utilization: not measured (%s)", reason)
        return -1.0, None
    return peak_flops(card, str(trainer.precision), tf32), flops


def memory_taken(device: torch.device) -> dict[str, float]:
    """Return the peak memory allocated on a GPU, or the memory of this process, in GiB; empty if neither is known."""
    if device.type == "cuda":
        return {"memory/gpu_peak_gib": torch.cuda.max_memory_allocated(device) / GIB}
    held = process_bytes()
    return {} if held is None else {"memory/process_gib": held / GIB}


def process_bytes() -> int | None:
    """Return the resident memory of this process, or its peak if the system tells only that.

    None if it tells neither.
    """
    statm = Path("/proc/self/statm")
    try:
        import resource  # does not exist on Windows
    except ImportError:
        return None
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
