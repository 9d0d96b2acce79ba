"""From a run's settings, as `fit` reads them, to a case to plan."""

from typing import Any

from jsonargparse import Namespace

from sapiens2_lit.cli.fit import SapiensCLI, run
from sapiens2_lit.errors import SettingError
from sapiens2_lit.memory.advice import Case
from sapiens2_lit.memory.launch import Launch


class Planner:
    """Stands where a run has its Trainer, and trains nothing."""

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: what was wanted are the settings."""


class PlanCLI(SapiensCLI):
    """Reads the settings of `fit`, checks them, and makes the module alone: no data, no trainer, no networks."""

    def instantiate_classes(self) -> None:
        settings = self.config["fit"]
        parser = self._parser("fit")
        self.model = parser.instantiate_classes(Namespace(model=settings.model)).model
        self.datamodule = None
        self.config_init = self.config
        self.trainer = Planner()  # type: ignore[assignment]  # all that is called of it

    def after_instantiate_classes(self) -> None:
        """Nothing is saved."""


def read_case(args: list[str], devices: int | None = None) -> Case:
    """The training that `sapiens2-lit fit ARGS` would run.

    Args:
        devices: in all, if not those of `trainer.devices` and `trainer.num_nodes`.
    """
    cli = run(["fit", *args], PlanCLI)
    return Case(cli.model, launch_of(cli.config["fit"], devices))


def launch_of(settings: Namespace, devices: int | None = None, gpu: bool = True) -> Launch:
    """How these settings of `fit` launch a training.

    Raises:
        SettingError: they do not tell the batch or the image's size, or have an unknown strategy.
    """
    trainer, data = settings.trainer, settings.data.get("init_args", Namespace())
    backbone = settings.model.backbone.get("init_args", Namespace())
    image_size = data.get("image_size") or backbone.get("image_size")
    if image_size is None or data.get("batch_size") is None:
        raise SettingError("plan: the data has no image_size or no batch_size; expected both")
    nodes = trainer.get("num_nodes") or 1
    if devices is None:
        devices = (trainer.devices if isinstance(trainer.devices, int) else 1) * nodes
    return Launch(
        batch_size=data.batch_size,
        image_size=tuple(image_size),
        precision=str(trainer.precision or "32-true"),
        devices=devices,
        accumulate=trainer.accumulate_grad_batches or 1,
        gpu=gpu,
        **strategy_of(trainer.strategy, devices, nodes),
    )


def strategy_of(strategy: Any, devices: int, nodes: int) -> dict[str, Any]:
    """The fields of a launch that `trainer.strategy` decides."""
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
