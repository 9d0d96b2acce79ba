"""Print what a run trains when it starts."""

from typing import Any

import lightning as L
import torch
from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_info

from sapiens2_lit.memory.estimate import GIB, estimate
from sapiens2_lit.memory.launch import launch_of
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.backbone_module import BackboneModule


class ModelSummary(L.Callback):
    """Prints a short table: parameters of backbone and heads, how many of them are trained, and their learning rates.

    Below it is the memory that the plan (`sapiens2-lit plan`) expects on each device, which takes about a second.

    Args:
        settings: Of `fit`, as parsed; None for no such line.
    """

    def __init__(self, settings: Namespace | None = None) -> None:
        self.settings = settings

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the table before anything has run: a sharded part shows its gathered parameters afterwards."""
        assert isinstance(pl_module, BackboneModule)
        if not trainer.is_global_zero:
            return
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        rank_zero_info("%s", model_summary(pl_module, groups))
        if self.settings is not None:
            rank_zero_info("%s", memory_line(pl_module, self.settings, trainer.world_size))
        assert pl_module.backbone is not None
        if (licence := pl_module.backbone.licence_notice(pl_module.factory.weights)) is not None:
            rank_zero_info("%s", licence)
        if pl_module.factory.compile:
            rank_zero_info("compiling the blocks (model.compile): the first steps take minutes")


def model_summary(module: BackboneModule, groups: list[dict[str, Any]]) -> str:
    """Return rows for the backbone, each head and the sum, with the peak learning rates of the schedule.

    A backbone that is unfrozen on the way is shown with all parameters that are ever trained.

    Args:
        module: That is trained.
        groups: Of the optimizer.
    """
    assert module.backbone is not None
    assert module.adaptation is not None
    rates = {id(parameter): group["initial_lr"] for group in groups for parameter in group["params"]}
    adapt = module.adaptation.adapt
    mode = f"{adapt.mode} until step {min(adapt.unfreeze_at)}" if adapt.unfreeze_at else adapt.mode
    rows: list[tuple[str, Any]] = [(f"backbone ({mode})", module.backbone)]
    rows += list(module.network.heads.items())
    width = max(24, *(len(name) + 1 for name, _ in rows))
    lines = [f"{'':{width}}{'parameters':>14}{'trained':>14}  learning rate"]
    totals = [0, 0]
    for name, part in rows:
        parameters = list(part.parameters())
        trained = [parameter for parameter in parameters if id(parameter) in rates]
        counts = [sum(parameter.numel() for parameter in some) for some in (parameters, trained)]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        lines.append(
            f"{name:{width}}{counts[0]:>14,}{counts[1]:>14,}  {span([rates[id(p)] for p in trained])}"
        )
    lines.append(f"{'in all':{width}}{totals[0]:>14,}{totals[1]:>14,}")
    return "\n".join(lines)


def memory_line(module: BackboneModule, settings: Namespace, devices: int) -> str:
    """Return the estimated memory on each device, or why there is no estimate.

    Args:
        module: That is trained.
        settings: Of `fit`.
        devices: Total number.
    """
    assert module.adaptation is not None
    try:
        launch = launch_of(settings, devices, gpu=module.device.type == "cuda")
        with torch.random.fork_rng(devices=[]):  # training must not depend on the estimate
            found = estimate(empty_networks(module, adapt=module.adaptation.adapt), launch)
    except Exception as error:  # a custom head may do what cannot be simulated; training continues
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return f"memory: not estimated ({reason})"
    return f"memory, estimated: {found.total / GIB:.1f} GiB on each device, fullest in {found.phase}"


def span(rates: list[float]) -> str:
    """Return the least and the greatest learning rate as text, such as `1e-06 to 1e-04`."""
    if not rates:
        return "-"
    low, high = f"{min(rates):.2g}", f"{max(rates):.2g}"
    return low if low == high else f"{low} to {high}"
