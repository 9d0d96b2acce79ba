"""Sums and other collectives over all ranks of a run; with one rank, each returns its input."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def several_ranks() -> bool:
    """Return whether several processes take part in the run."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def leave_group() -> None:
    """Leave the group of ranks, if this process is in one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of every rank's tensor, of any shape, on all ranks; with one rank, the tensor itself."""
    if not several_ranks():
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def max_over_ranks(tensor: Tensor) -> Tensor:
    """Return the elementwise maximum of every rank's tensor, of any shape, on all; with one rank, the tensor itself."""
    if not several_ranks():
        return tensor
    greatest = tensor.detach().clone()
    dist.all_reduce(greatest, op=dist.ReduceOp.MAX)
    return greatest


def greatest_over_ranks(number: int, device: torch.device) -> int:
    """Return the greatest of every rank's numbers; every rank must call it."""
    return int(max_over_ranks(torch.tensor(number, device=device))) if several_ranks() else number


def gather_over_ranks(own: T) -> list[T]:
    """Return the picklable objects of all ranks, in their order, on every rank; every rank must call it."""
    if not several_ranks():
        return [own]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, own)
    return gathered


class _Gather(torch.autograd.Function):
    """The tensors of all ranks, concatenated; the loss of every rank gives gradients to every rank's tensor."""

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
    """Return the tensors of all R ranks, (R * N, ...), and where this rank's rows begin.

    Every rank must call it with N rows. The mean of gradients over ranks, which DDP and FSDP compute, is then the
    gradient of the mean loss over ranks.
    """
    if not several_ranks():
        return own, 0
    gathered: Tensor = _Gather.apply(own)
    return gathered, dist.get_rank() * len(own)
