"""The norm of all gradients, where some parameters are sharded and others are whole on every rank."""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sapiens2_lit.parallel.dtensor import local_values


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float = math.inf) -> Tensor:
    """Scale gradients in place so that their total norm is `max_norm` or less; return the norm before that.

    `torch.nn.utils.clip_grad_norm_` refuses DTensors together with plain tensors, and DTensors on several meshes.
    Gradients of whole parameters must be the same on every rank, as DistributedDataParallel leaves them.

    Returns:
        A scalar, the same on every rank; not finite if a gradient is not.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    sharded: dict[tuple[Any, int], list[Tensor]] = {}
    whole: list[Tensor] = []
    for gradient in gradients:
        axes = shard_axes(gradient)
        if not axes:
            whole.append(local_values(gradient))
        for axis in axes:
            mesh = gradient.device_mesh  # type: ignore[attr-defined]  # a DTensor, since it has axes
            sharded.setdefault((mesh, axis), []).append(local_values(gradient))
    total = squares(whole, gradients[0].device)
    for (mesh, axis), parts in sharded.items():
        part = squares(parts, parts[0].device)
        if mesh.size(axis) > 1:
            dist.all_reduce(part, group=mesh.get_group(axis))
        total = total + part.to(total.device)
    norm = total.sqrt()
    if max_norm < math.inf:
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # like torch.nn.utils.clip_grad_norm_
        for gradient in gradients:
            values = local_values(gradient)
            values.mul_(factor.to(values.device))
    return norm


@torch.no_grad()
def clip_values(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Clamp each value of the gradients, sharded or not, to -limit..limit, in place."""
    for parameter in parameters:
        if parameter.grad is not None:
            local_values(parameter.grad).clamp_(-limit, limit)


def shard_axes(tensor: Tensor) -> list[int]:
    """Return the mesh axis over which a tensor of any shape is sharded, as a list; empty if it is whole."""
    if not hasattr(tensor, "placements"):
        return []
    axes = [axis for axis, placement in enumerate(tensor.placements) if placement.is_shard()]
    assert len(axes) <= 1, "tensors are sharded over one axis of the mesh"
    return axes


def squares(tensors: list[Tensor], device: torch.device) -> Tensor:
    """Return the sum of the squares of all values of tensors of any shapes, a scalar in float32 or better."""
    if not tensors:
        return torch.zeros((), device=device)
    norms = torch._foreach_norm(tensors)
    return torch.stack([norm.float().to(norms[0].device) for norm in norms]).square().sum()
