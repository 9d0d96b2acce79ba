"""Parameter groups with layer-wise learning rates, and the learning-rate schedule."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.errors import SettingError
from sapiens2_lit.lora import is_lora
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel import clip_gradients, clip_values

ADAMW = partial(torch.optim.AdamW, lr=1e-4, weight_decay=0.1)
FUSED = (torch.optim.Adam, torch.optim.AdamW)  # they have a kernel that updates a whole group on CUDA


class Optimization:
    """The optimizer of a training, its parameter groups and its schedule.

    Args:
        optimizer: Makes the optimizer from parameter groups.
        layer_decay: See `parameter_groups`.
        backbone_lr: See `parameter_groups`.
        head_lr: See `parameter_groups`.
        warmup_steps: See `warmup_then_linear`.

    Raises:
        SettingError: A setting is out of range.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable,
        layer_decay: float,
        backbone_lr: float,
        head_lr: float,
        warmup_steps: int,
    ) -> None:
        for setting, value, most in (
            ("layer_decay", layer_decay, 1.0),
            ("warmup_steps", warmup_steps, math.inf),
            ("backbone_lr", backbone_lr, math.inf),
            ("head_lr", head_lr, math.inf),
        ):
            if not 0 <= value <= most:
                raise SettingError(f"model.{setting}: found {value}, expected 0 to {most}")
        self.optimizer = optimizer
        self.layer_decay = layer_decay
        self.backbone_lr, self.head_lr = backbone_lr, head_lr
        self.warmup_steps = warmup_steps
        self._settings: list[dict[str, Any]] = []  # of each group

    def make(self, network: Network, balancer: nn.Module, steps: float) -> tuple[Optimizer, LambdaLR]:
        """Make the optimizer of all parameters with gradients, and its schedule over `steps` optimizer steps."""
        groups = parameter_groups(
            network.backbone,
            network.heads,
            self.layer_decay,
            backbone_lr=self.backbone_lr,
            head_lr=self.head_lr,
            balancer=balancer,
        )
        optimizer = self.optimizer(groups)
        fuse(optimizer)
        scale_learning_rates(optimizer.param_groups)
        self._settings = settings_of(optimizer)
        return optimizer, LambdaLR(
            optimizer, [self.schedule(group, steps) for group in optimizer.param_groups]
        )

    def schedule(self, group: dict[str, Any], steps: float) -> Callable[[int], float]:
        """Return the factor on a group's learning rate as a function of the optimizer step, for a run of `steps`."""
        return warmup_then_linear(self.warmup_steps, steps)

    def configure(self, network: Network, balancer: nn.Module, steps: float) -> dict[str, Any]:
        """Make optimizer and schedule in the form that Lightning takes."""
        optimizer, schedule = self.make(network, balancer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def restore(self, trainer: Trainer) -> None:
        """Apply this run's settings after a checkpoint has restored the optimizer with its own."""
        for optimizer, config in zip(trainer.optimizers, trainer.lr_scheduler_configs, strict=True):
            assert isinstance(config.scheduler, LambdaLR)
            apply_settings(optimizer, config.scheduler, self._settings)
            move_steps(optimizer)


def parameter_groups(
    backbone: Backbone,
    heads: nn.ModuleDict,
    layer_decay: float,
    *,
    backbone_lr: float = 1.0,
    head_lr: float = 1.0,
    balancer: nn.Module | None = None,
) -> list[dict[str, Any]]:
    """Group the trainable parameters by learning rate and weight decay.

    A parameter at depth d of n blocks learns at `layer_decay ** (n + 1 - d)` of the full rate (BEiT, arXiv:2106.08254,
    appendix H): embeddings d = 0, block i d = i + 1, final norm and heads d = n + 1. Adapters start at zero at every
    depth, so they learn at the full rate. Vectors (biases, norms, scales) and learned tokens are exempt from weight
    decay.

    Args:
        backbone: The backbone.
        heads: The heads.
        layer_decay: Factor on the rate for each block further from the heads.
        backbone_lr: Factor on every rate of the backbone.
        head_lr: Factor on the rates of heads and balancer.
        balancer: The module that weights losses, if any.

    Returns:
        Groups for a torch optimizer, the slowest first. Besides `params` each has `name`, `lr_scale` (which
            `scale_learning_rates` multiplies into the optimizer's rate) and, if exempt, `weight_decay: 0`.
    """
    top = backbone.depth + 1
    groups: dict[tuple[int, str, bool], dict[str, Any]] = {}

    def add(order: int, label: str, scale: float, parameter: nn.Parameter) -> None:
        if not parameter.requires_grad:
            return
        decays = not is_vector_or_token(parameter)
        if (order, label, decays) not in groups:
            group: dict[str, Any] = {"params": [], "name": label, "lr_scale": scale}
            plain = {**group, "name": f"{label}.plain", "weight_decay": 0.0}
            groups[order, label, decays] = group if decays else plain
        groups[order, label, decays]["params"].append(parameter)

    for name, parameter in backbone.named_parameters():
        depth = backbone.layer_depth(name)
        if is_lora(name):
            add(top, "adapters", backbone_lr, parameter)
        elif depth == top:
            add(top, "final_norm", backbone_lr, parameter)
        else:
            label = "embeddings" if depth == 0 else f"block_{depth - 1:02d}"
            add(depth, label, backbone_lr * layer_decay ** (top - depth), parameter)
    for parameter in heads.parameters():
        add(top + 1, "heads", head_lr, parameter)
    for parameter in balancer.parameters() if balancer is not None else ():
        add(top + 2, "balance", head_lr, parameter)
    return [groups[key] for key in sorted(groups)]


def is_vector_or_token(parameter: nn.Parameter) -> bool:
    """Return whether a parameter is exempt from weight decay: 1-D, or tokens of shape (1, N, C)."""
    return parameter.ndim <= 1 or (parameter.ndim == 3 and parameter.shape[0] == 1)


def scale_learning_rates(groups: list[dict[str, Any]]) -> None:
    """Multiply each group's learning rate by its `lr_scale`, once, in place."""
    for group in groups:
        group["lr"] *= group.get("lr_scale", 1.0)


def fuse(optimizer: Optimizer) -> None:
    """Let Adam and AdamW update a group on CUDA with one kernel, in place, unless the user has chosen a kernel."""
    if not can_fuse(optimizer):
        return
    for group in optimizer.param_groups:
        if on_cuda(group["params"]):
            group["fused"] = True


def can_fuse(optimizer: Optimizer) -> bool:
    """Return whether an optimizer has a kernel for a whole group, and the user has not chosen one."""
    settings = optimizer.defaults
    open_ = settings.get("fused") is None and settings.get("foreach") is None
    return type(optimizer) in FUSED and open_ and not settings.get("differentiable")


def on_cuda(parameters: list[Tensor]) -> bool:
    """Return whether all parameters, of any shapes, are on CUDA."""
    return all(parameter.is_cuda for parameter in parameters)


def move_steps(optimizer: Optimizer) -> None:
    """Move step counts to where a fused group needs them: checkpoints of other kinds hold them on the CPU."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("fused") else ():
            state = optimizer.state.get(parameter, {})
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(parameter.device, torch.float32)


def clip(optimizer: Optimizer, value: float | None, algorithm: str | None) -> Tensor:
    """Clip the gradients of an optimizer's parameters in place, by their norm or by value.

    Args:
        optimizer: The optimizer.
        value: The greatest norm, or with `algorithm: value` the greatest absolute value; None or 0 for no limit.
        algorithm: `norm`, `value`, or None for `norm`.

    Returns:
        The norm of all gradients before clipping, a scalar.
    """
    by_norm = algorithm != "value" and value
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = clip_gradients(parameters, float(value or 0) if by_norm else math.inf)
    if value and not by_norm:
        clip_values(parameters, float(value))
    return norm


def apply_settings(optimizer: Optimizer, scheduler: LambdaLR, settings: list[dict[str, Any]]) -> None:
    """Set rates, decay and other settings of each group as configured, at the schedule's present step, in place.

    Loading an optimizer's state also restores the settings of the run that saved it. Optimizers that compile their
    step, such as torchao's, keep the rate in a tensor, which stays the same tensor.

    Args:
        optimizer: The optimizer.
        scheduler: Its schedule.
        settings: Settings of each group, from `settings_of`.
    """
    for index, (group, configured) in enumerate(zip(optimizer.param_groups, settings, strict=True)):
        group.update({key: value for key, value in configured.items() if key != "lr"})
        group["initial_lr"] = scheduler.base_lrs[index] = configured["lr"]
        rate = configured["lr"] * scheduler.lr_lambdas[index](scheduler.last_epoch)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def settings_of(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Return the settings of each group before a schedule changes its rate, with the rate as a number."""
    return [
        {**{key: value for key, value in group.items() if key != "params"}, "lr": float(group["lr"])}
        for group in optimizer.param_groups
    ]


def warmup_then_linear(warmup_steps: int, total_steps: float) -> Callable[[int], float]:
    """Return the learning-rate factor by optimizer step: from 1e-3 up to 1, then linearly to 0 at the last step.

    The warm-up takes at most a tenth of the run, so that a short run still learns. An endless run (`total_steps`
    infinite) stays at 1 after the warm-up.
    """
    warmup = warmup_steps if math.isinf(total_steps) else min(warmup_steps, total_steps // 10)

    def factor(step: int) -> float:
        if step < warmup:
            return 1e-3 + (1 - 1e-3) * step / warmup
        if math.isinf(total_steps):
            return 1.0
        return max(0.0, (total_steps - step) / max(1, total_steps - warmup))

    return factor
