"""How a training is launched, as far as its memory depends on it, and what of it each device holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from torch import Tensor

from sapiens2_lit.errors import SettingError

Strategy = Literal["single", "ddp", "fsdp2", "hsdp"]
PRECISIONS: dict[str, torch.dtype | None] = {
    "32-true": None,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}


@dataclass(frozen=True)
class TrainingSetup:
    """A training's setting.

    Args:
        batch_size: images on each device.
        image_size: (height, width) in pixels.
        precision: `trainer.precision`.
        strategy: `single` device; `ddp`, everything on each; `fsdp2`, sharded over all; `hsdp`, sharded within groups.
        devices: how many in all.
        shards: devices that share each parameter, with `hsdp`; `fsdp2` shares over all.
        accumulate: batches whose gradients are added up before a step.
        offload: with `fsdp2` and `hsdp`, parameters, gradients and states live in the host's memory.
        sync_each_batch: with these, gradients of accumulated batches are shared out after each of them.
        bucket_view: with `ddp`, gradients lie in its buckets, not beside them.
        gpu: whether the device is a GPU, else a CPU.

    Raises:
        SettingError: the numbers do not fit together.
    """

    batch_size: int
    image_size: tuple[int, int]
    precision: str = "bf16-mixed"
    strategy: Strategy = "single"
    devices: int = 1
    shards: int | None = None
    accumulate: int = 1
    offload: bool = False
    sync_each_batch: bool = False
    bucket_view: bool = False
    gpu: bool = True

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise SettingError(
                f"precision: found {self.precision!r}, expected one of {', '.join(PRECISIONS)} to plan for"
            )
        for name in ("batch_size", "devices", "accumulate"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}: found {getattr(self, name)}, expected 1 or more")
        if self.strategy == "single" and self.devices != 1:
            raise SettingError(f"strategy: found single with {self.devices} devices, expected ddp or fsdp2")
        if self.strategy == "hsdp" and (not self.shards or self.devices % self.shards):
            raise SettingError(
                f"shards: found {self.shards} with {self.devices} devices, expected a divisor of these"
            )
        if self.offload and not self.sharded:
            raise SettingError(f"offload has no effect with strategy {self.strategy}; expected fsdp2 or hsdp")

    @property
    def sharded(self) -> bool:
        return self.strategy in ("fsdp2", "hsdp")

    @property
    def ways(self) -> int:
        """Among how many devices a parameter is divided."""
        return {"fsdp2": self.devices, "hsdp": self.shards or 1}.get(self.strategy, 1)

    @property
    def autocast(self) -> torch.dtype | None:
        return PRECISIONS[self.precision]

    @property
    def weights(self) -> torch.dtype | None:
        """What sharded parameters of the backbone are brought to when they are gathered; None for their own."""
        return self.autocast if self.sharded else None

    @property
    def gathers_gradients(self) -> bool:
        """Whether each device holds whole gradients until the last of the accumulated batches."""
        return self.sharded and self.accumulate > 1 and not self.sync_each_batch

    def held(self, parameter: Tensor) -> int:
        """Elements of a parameter that a device holds: FSDP2 cuts the first dimension, and the last piece is padded."""
        if self.ways == 1 or parameter.ndim == 0:
            return parameter.numel()
        rows = parameter.shape[0]
        return parameter.numel() // max(1, rows) * -(-rows // self.ways)


def launch_of(settings: Namespace, devices: int | None = None, gpu: bool = True) -> TrainingSetup:
    """How these settings of `fit` launch a training.

    Raises:
        SettingError: they do not tell the batch or the image's size, or have an unknown strategy.
    """
    trainer, data = settings.trainer, settings.data.get("init_args", Namespace())
    backbone = settings.model.backbone.get("init_args", Namespace())
    image_size = data.get("image_size") or backbone.get("image_size")
    batch_size = batch_size_of(data)
    if image_size is None or batch_size is None:
        raise SettingError("plan: the data has no image_size or no batch_size; expected both")
    nodes = trainer.get("num_nodes") or 1
    if devices is None:
        devices = (trainer.devices if isinstance(trainer.devices, int) else 1) * nodes
    return TrainingSetup(
        batch_size=batch_size,
        image_size=tuple(image_size),
        precision=str(trainer.precision or "32-true"),
        devices=devices,
        accumulate=trainer.accumulate_grad_batches or 1,
        gpu=gpu,
        **strategy_of(trainer.strategy, devices, nodes),
    )


def batch_size_of(data: Namespace) -> int | None:
    """Images on each device in one step; of several datasets those of the fullest, or where all take part, of all.

    Args:
        data: settings of the datamodule.
    """
    datasets = data.get("datasets")
    if not isinstance(datasets, Mapping):
        return data.get("batch_size")
    given = data.get("batch_size")
    sizes = [
        given or dataset.get("init_args", Namespace()).get("batch_size") for dataset in datasets.values()
    ]
    if any(size is None for size in sizes):
        return None
    return sum(sizes) if data.get("schedule") == "all" else max(sizes)


def strategy_of(strategy: Any, devices: int, nodes: int) -> dict[str, Any]:
    """Return the fields of a launch that `trainer.strategy` decides."""
    if isinstance(strategy, str | None):
        name, own = strategy or "auto", Namespace()
    else:
        name, own = strategy.class_path.rpartition(".")[2], strategy.get("init_args", Namespace())
    if name == "ShardedStrategy":
        replicas = nodes if own.replicas == "nodes" else own.replicas
        found = {"offload": own.cpu_offload, "sync_each_batch": own.sync_each_batch}
        shared = (
            {"strategy": "fsdp2"} if replicas == 1 else {"strategy": "hsdp", "shards": devices // replicas}
        )
        return found | shared
    if name == "auto" or name.startswith(("ddp", "DDPStrategy", "SingleDevice")):
        if devices == 1:
            return {"strategy": "single"}
        return {"strategy": "ddp", "bucket_view": bool(own.get("gradient_as_bucket_view"))}
    raise SettingError(
        f"trainer.strategy: found {name}, expected auto, ddp, or an overlay of strategy/ to plan for"
    )
