"""Small sums over all ranks of a run; without other ranks each is what it is."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def several_ranks() -> bool:
    """Whether other processes take part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def leave_group() -> None:
    """Leave the group of ranks, if this process is in one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of every rank's tensor, on all of them; the tensor itself where there is one rank."""
    if not several_ranks():
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def max_over_ranks(tensor: Tensor) -> Tensor:
    """The elementwise greatest of every rank's tensor, on all of them; the tensor itself where there is one rank."""
    if not several_ranks():
        return tensor
    greatest = tensor.detach().clone()
    dist.all_reduce(greatest, op=dist.ReduceOp.MAX)
    return greatest


def greatest_over_ranks(number: int, device: torch.device) -> int:
    """Return the greatest of every rank's number; every rank must call it."""
    return int(max_over_ranks(torch.tensor(number, device=device))) if several_ranks() else number


def gather_over_ranks(own: T) -> list[T]:
    """Return what each rank gave, in their order, on all of them; of what can be pickled. Every rank must call it."""
    if not several_ranks():
        return [own]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, own)
    return gathered


class _Gather(torch.autograd.Function):
    """The tensors of all ranks, one after the other; every rank's loss gives gradients to every rank's tensor."""

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        context.rows = len(own)
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * context.rows
        return total[start : start + context.rows]


def gather_with_gradient(own: Tensor) -> tuple[Tensor, int]:
    """Return the tensors of all ranks, (R * n, ...), and where this rank's begins; every rank must call it with n rows.

    The mean over ranks of gradients, as DDP and FSDP take it, is then that of the mean over ranks of the losses.
    """
    if not several_ranks():
        return own, 0
    gathered: Tensor = _Gather.apply(own)
    return gathered, dist.get_rank() * len(own)
