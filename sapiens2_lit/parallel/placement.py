"""Which part of a whole tensor this rank holds."""

from torch import Tensor

Part = tuple[slice, ...]


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is spread over ranks (a DTensor)."""
    return hasattr(tensor, "device_mesh")


def local_values(tensor: Tensor) -> Tensor:
    """The values that this rank holds, without gradient; they share the tensor's memory."""
    found: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return found.detach()


def held_part(tensor: Tensor) -> Part:
    """Where the values that this rank holds lie in the whole tensor: one slice for each dimension.

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
