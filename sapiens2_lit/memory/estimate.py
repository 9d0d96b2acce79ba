"""Estimate how much memory a training takes on each device: what it always holds, and the fullest moment of a step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn
from torch.optim import Optimizer

from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import Networks
from sapiens2_lit.memory.optimizer_states import state_bytes, work_bytes
from sapiens2_lit.memory.step import simulate_step
from sapiens2_lit.training.distillation.distiller import Distiller

GIB = 2**30
# Allowances, as measured on data-center GPUs: memory of the driver, cuBLAS and cuDNN, memory of NCCL, and what the
# caching allocator cannot use. A card has a little less memory than it is sold with.
CONTEXT = 600 * 2**20
COMMUNICATION = 400 * 2**20
FRAGMENTS = 0.03
USABLE = 0.98


@dataclass(frozen=True)
class MemoryEstimate:
    """The most memory that a training takes on one device.

    Attributes:
        launch: The setup that it belongs to.
        moments: The fullest moment of each phase, as bytes by purpose. Phases are the pass through `backbone`, `head
            NAME` and `loss NAME`, `teacher`, `backward`, and `optimizer`, its step.
    """

    launch: TrainingSetup
    moments: Mapping[str, Mapping[str, int]]

    @property
    def phase(self) -> str:
        """The fullest phase."""
        return max(self.moments, key=lambda phase: sum(self.moments[phase].values()))

    @property
    def parts(self) -> dict[str, int]:
        """Bytes by purpose at the fullest moment."""
        parts = {name: size for name, size in self.moments[self.phase].items() if size}
        if self.launch.gpu:
            sharing = COMMUNICATION if self.launch.devices > 1 else 0
            parts["allowance"] = CONTEXT + sharing + round(FRAGMENTS * sum(parts.values()))
        return parts

    @property
    def total(self) -> int:
        """Bytes at the fullest moment."""
        return sum(self.parts.values())

    def fits(self, memory: float) -> bool:
        """Return whether it fits a card sold with `memory` GiB."""
        return self.total <= memory * GIB * USABLE

    def table(self) -> str:
        """Return one line for each part, the greatest first."""
        rows = sorted(self.parts.items(), key=lambda row: -row[1])
        lines = [f"  {name:18}{size / GIB:8.2f} GiB" for name, size in rows if size >= 0.005 * GIB]
        return "\n".join([*lines, f"  {'in all':18}{self.total / GIB:8.2f} GiB, fullest in {self.phase}"])


def estimate(module: Networks, launch: TrainingSetup) -> MemoryEstimate:
    """Return the memory of training `module` with a launch, before it is sharded and without using any.

    Parts: `weights`, `optimizer` (its states), `average` (EMA), `gradients`, `buckets` (DDP's), `gathered` (FSDP2's
    buffers), `weight copies` (autocast's), `batch`, `backbone`, `head`, `loss` (maps kept for the backward pass),
    `backward` (made during it), `update` (made in the optimizer's step) and `allowance` (context, NCCL, fragments);
    `teacher` (its weights) and `answers` (what it computes, of which its outputs stay).
    """
    distiller = module.distiller(launch.gpu, launch.sharded)
    held = held_bytes(module, launch, distiller)
    trained = [p for p in parameters_of(module) if p.requires_grad]
    share = gradient_share(launch)
    gradients = round(share * sum(p.numel() * p.element_size() for p in trained))
    gathered = gathered_bytes(module, launch, distiller)
    phases = simulate_step(
        module.network,
        launch.batch_size,
        launch.image_size,
        autocast=launch.autocast,
        weights=launch.weights,
        keep_gradients=launch.accumulate > 1,
        gradient_share=share,
        gpu=launch.gpu,
        distiller=distiller,
    )
    moments = {phase: {**held, "gathered": gathered, **sizes} for phase, sizes in phases.items()}
    moments["optimizer"] = {**held, "gradients": gradients, "update": update_bytes(module, launch)}
    return MemoryEstimate(launch, moments)


def on_more(module: Networks, found: MemoryEstimate, devices: int) -> MemoryEstimate:
    """Return a sharded estimate for another number of devices, without simulating the step again.

    Of what a step makes, only the gradients depend on the number of devices.

    Args:
        module: The networks.
        found: The estimate for some number of devices.
        devices: The wanted number.
    """
    launch = replace(found.launch, devices=devices)
    held = held_bytes(module, launch, module.distiller(launch.gpu, launch.sharded))
    change = gradient_share(launch) / gradient_share(found.launch)
    moments = {
        phase: {**parts, **held, "gradients": round(parts.get("gradients", 0) * change)}
        for phase, parts in found.moments.items()
    }
    return MemoryEstimate(launch, moments)


def held_bytes(module: Networks, launch: TrainingSetup, distiller: Distiller | None = None) -> dict[str, int]:
    """Return the bytes that a device always holds, by part.

    Args:
        module: The networks.
        launch: How they are trained.
        distiller: The teachers, if any.
    """
    if launch.offload:
        return {}
    parameters = parameters_of(module)
    trained = [p for p in parameters if p.requires_grad]
    states = state_bytes(module.optimizer, trained)
    held = {
        "weights": sum(launch.held(p) * p.element_size() for p in parameters),
        "optimizer": sum(size * launch.held(p) // max(1, p.numel()) for p, size in states.items()),
    }
    if module.ema_settings is not None:
        held["average"] = sum(launch.held(p) * 4 for p in trained)
    if launch.strategy == "ddp":
        held["buckets"] = sum(p.numel() * p.element_size() for p in trained)
    if distiller is not None:
        held["teacher"] = sum(launch.held(p) * p.element_size() for p in teachers_parameters(distiller))
    return held


def teachers_parameters(distiller: Distiller) -> list[nn.Parameter]:
    """Return the parameters of all teachers."""
    return [p for teacher in distiller.teachers for p in teacher.network.parameters()]


def parameters_of(module: Networks) -> list[nn.Parameter]:
    """Return the parameters of the networks."""
    return list(module.network.parameters())


def gradient_share(launch: TrainingSetup) -> float:
    """Return the share of a finished gradient, in float32, that stays on this device and is listed as a gradient."""
    if launch.gathers_gradients:
        return 1.0
    if launch.offload or launch.bucket_view:
        return 0.0
    return 1 / launch.ways


def gathered_bytes(module: Networks, launch: TrainingSetup, distiller: Distiller | None = None) -> int:
    """Return the bytes of FSDP2's buffers for its largest unit, a block or a head, in the backward pass.

    They are three times the gathered weights (the weights in use, the next unit's, and the flat buffer that they arrive
    in), plus the gradients, plus the gradients in float32 on their way to be reduced. Heads are gathered in their own
    precision.

    Args:
        module: The networks.
        launch: How they are trained.
        distiller: The teachers, if any.
    """
    if not launch.sharded:
        return 0
    parts: list[nn.Module] = list(module.backbone.blocks) or [module.backbone]
    compute = launch.weights.itemsize if launch.weights is not None else 4
    units = [(part, compute) for part in parts] + [(head, 4) for head in module.heads.children()]
    for teacher in distiller.teachers if distiller is not None else ():
        network, own = teacher.network, 2 if teacher.half else 4
        units += [(part, own) for part in network.backbone.blocks or [network.backbone]]
        units += [(head, 4) for head in network.heads.children()]
    return max(unit_bytes(unit, element) for unit, element in units)


def unit_bytes(unit: nn.Module, element: int) -> int:
    """Return `gathered_bytes` of one unit, whose gathered weights have `element` bytes each."""
    weights = 3 * element * sum(p.numel() for p in unit.parameters())
    return weights + (element + 4) * sum(p.numel() for p in unit.parameters() if p.requires_grad)


def update_bytes(module: Networks, launch: TrainingSetup) -> int:
    """Return the bytes that the optimizer's step needs temporarily."""
    if launch.offload or not launch.gpu:
        return 0
    groups: dict[int, int] = {}
    for name, parameter in module.backbone.named_parameters():
        if parameter.requires_grad:
            depth = module.backbone.layer_depth(name)
            groups[depth] = groups.get(depth, 0) + launch.held(parameter) * parameter.element_size()
    groups[-1] = sum(launch.held(p) * p.element_size() for p in module.heads.parameters())
    optimizer: Optimizer = module.optimizer([{"params": [nn.Parameter()]}])
    return work_bytes(optimizer, groups.values())
