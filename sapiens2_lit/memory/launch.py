"""How a training is launched, as far as its memory depends on it, and what each device holds."""

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
    """The setup of a training.

    Args:
        batch_size: Images on each device.
        image_size: (height, width) in pixels.
        precision: `trainer.precision`.
        strategy: `single` device; `ddp`, everything on each device; `fsdp2`, sharded over all; `hsdp`, sharded within
            groups.
        devices: Number of all devices.
        shards: Number of devices that share each parameter with `hsdp`; `fsdp2` shares over all.
        accumulate: Number of batches whose gradients are added before a step.
        offload: With `fsdp2` and `hsdp`, parameters, gradients and states are in the host's memory.
        sync_each_batch: With these, gradients are reduced after each accumulated batch.
        bucket_view: With `ddp`, gradients lie in its buckets instead of beside them.
        gpu: Whether the device is a GPU, else a CPU.

    Raises:
        SettingError: The values do not fit together.
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
        """Whether parameters are sharded."""
        return self.strategy in ("fsdp2", "hsdp")

    @property
    def ways(self) -> int:
        """The number of devices among which a parameter is divided."""
        return {"fsdp2": self.devices, "hsdp": self.shards or 1}.get(self.strategy, 1)

    @property
    def autocast(self) -> torch.dtype | None:
        """The dtype of autocast; None without it."""
        return PRECISIONS[self.precision]

    @property
    def weights(self) -> torch.dtype | None:
        """The dtype in which sharded parameters of the backbone are gathered; None to keep theirs."""
        return self.autocast if self.sharded else None

    @property
    def gathers_gradients(self) -> bool:
        """Whether each device holds whole gradients until the last of the accumulated batches."""
        return self.sharded and self.accumulate > 1 and not self.sync_each_batch

    def held(self, parameter: Tensor) -> int:
        """Return the number of elements of a parameter, of any shape, that a device holds.

        FSDP2 cuts the first dimension, and pads the last piece.
        """
        if self.ways == 1 or parameter.ndim == 0:
            return parameter.numel()
        rows = parameter.shape[0]
        return parameter.numel() // max(1, rows) * -(-rows // self.ways)


def launch_of(settings: Namespace, devices: int | None = None, gpu: bool = True) -> TrainingSetup:
    """Return how settings of `fit` launch a training.

    Args:
        settings: The settings, as parsed.
        devices: Number of devices; None to take it from the settings.
        gpu: Whether the devices are GPUs.

    Raises:
        SettingError: The settings lack the batch size or the image size, or have an unknown strategy.
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
    """Return the images on each device in one step; None if it is not known.

    With several datasets it is the largest batch, or the sum if all take part in each step.

    Args:
        data: Settings of the datamodule.
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
    """Return the fields of a launch that `trainer.strategy` decides.

    Args:
        strategy: The setting, as parsed.
        devices: Number of devices.
        nodes: Number of machines.

    Raises:
        SettingError: The strategy is unknown.
    """
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
