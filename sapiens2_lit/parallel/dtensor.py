"""Which part of a whole tensor this rank holds."""

from math import prod

import torch
from torch import Tensor

Part = tuple[slice, ...]


def is_sharded(tensor: Tensor) -> bool:
    """Return whether a tensor of any shape is spread over ranks (a DTensor)."""
    return hasattr(tensor, "device_mesh")


def local_values(tensor: Tensor) -> Tensor:
    """Return the values of a tensor of any shape that this rank holds, without gradient; they share its memory."""
    found: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return found.detach()


def held_part(tensor: Tensor) -> Part:
    """Return where this rank's values lie in a whole tensor of any shape: one slice for each dimension.

    Sharded dimensions are cut as `torch.chunk` cuts them, so that the last ranks may hold less, or nothing.
    """
    bounds = [(0, length) for length in tensor.shape]
    if hasattr(tensor, "device_mesh") and hasattr(tensor, "placements"):
        for axis, placement in enumerate(tensor.placements):
            if placement.is_replicate():
                continue
            assert placement.is_shard(), f"{placement}: parameters are sharded or replicated"
            start, stop = bounds[placement.dim]
            ranks, rank = tensor.device_mesh.size(axis), tensor.device_mesh.get_local_rank(axis)
            step = -(-(stop - start) // ranks)
            bounds[placement.dim] = (min(start + rank * step, stop), min(start + (rank + 1) * step, stop))
    return tuple(slice(start, stop) for start, stop in bounds)


def whole(tensor: Tensor) -> Tensor:
    """Return all of a sharded tensor of any shape, gathered; other tensors are returned themselves.

    Every rank must call it.
    """
    found: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return found


def pick(tensor: Tensor, index: Tensor) -> Tensor:
    """Return values of the whole tensor at some positions, on the CPU; 0 where another rank has them.

    If a sharded tensor has several copies, the first one gives the values, so that the sum over all ranks is right.

    Args:
        tensor: A tensor of any shape, sharded by rows or whole.
        index: Positions in the flattened whole tensor, (N,), on the CPU.

    Returns:
        (N,) float32.
    """
    values = local_values(tensor).reshape(-1)
    if not is_sharded(tensor):
        return values[index.to(values.device)].float().cpu()
    part = held_part(tensor)
    assert all(own == slice(0, length) for own, length in zip(part[1:], tensor.shape[1:], strict=True)), (
        "by rows"
    )
    row = prod(tensor.shape[1:])
    own = index - part[0].start * row
    mine = (own >= 0) & (own < values.numel()) & is_first_copy(tensor)
    found = torch.zeros(len(index))
    found[mine] = values[own[mine].to(values.device)].float().cpu()
    return found


def is_first_copy(tensor: Tensor) -> bool:
    """Return whether this rank belongs to the first copy of a sharded tensor of any shape."""
    assert hasattr(tensor, "device_mesh") and hasattr(tensor, "placements")
    return all(
        tensor.device_mesh.get_local_rank(axis) == 0
        for axis, placement in enumerate(tensor.placements)
        if placement.is_replicate()
    )
