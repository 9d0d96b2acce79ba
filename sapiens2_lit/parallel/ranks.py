"""Small sums over all ranks of a run; without other ranks each is what it is."""

import torch
import torch.distributed as dist
from torch import Tensor


def ranks() -> int:
    """Number of ranks of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The elementwise sum over all ranks, each of which must call it, in order with other such calls."""
    if ranks() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def true_on_any_rank(flag: bool, device: torch.device) -> bool:
    """Whether `flag` is true on one rank or more; every rank must call it."""
    return flag if ranks() == 1 else bool(sum_over_ranks(torch.tensor(float(flag), device=device)) > 0)
