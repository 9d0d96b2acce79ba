"""How many bytes optimizers keep for each parameter."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from sapiens2_lit.training.optimizer import can_fuse

MakeOptimizer = Callable[[list[dict[str, Any]]], Optimizer]
# torchao: bits of an element; it keeps two elements and the scale of each block; small parameters stay float32
QUANTIZED = {"4bit": 4, "8bit": 8, "Fp8": 8}
SMALLEST_QUANTIZED = 4096


def state_bytes(make: MakeOptimizer, parameters: Iterable[nn.Parameter]) -> dict[nn.Parameter, int]:
    """Return the bytes that the optimizer keeps for each whole parameter, by simulating one step for each shape."""
    return {parameter: _state_of(make, parameter.shape, parameter.dtype) for parameter in parameters}


@lru_cache(maxsize=1024)
def _state_of(make: MakeOptimizer, shape: torch.Size, dtype: torch.dtype) -> int:
    with FakeTensorMode():
        twin = nn.Parameter(torch.empty(shape, dtype=dtype))
        twin.grad = torch.empty_like(twin)
        optimizer = make([{"params": [twin]}])
        if type(optimizer).__module__.startswith("torchao."):
            return _quantized(optimizer, twin.numel())
        optimizer.step()
        states = optimizer.state[twin]
        tensors = {leaf for leaf in tree_leaves(dict(states)) if isinstance(leaf, Tensor)}
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def _quantized(optimizer: Optimizer, elements: int) -> int:
    """Return the bytes of two low-bit moments and a float32 scale for each block.

    These optimizers compile their step, so it is not simulated.
    """
    name = type(optimizer).__name__
    bits = next((bits for part, bits in QUANTIZED.items() if part in name), 32)
    block = getattr(optimizer, "block_size", None)
    if elements < SMALLEST_QUANTIZED or block is None or elements % block:
        return 2 * 4 * elements
    return 2 * (elements * bits // 8 + 4 * elements // block)


def work_bytes(optimizer: Optimizer, sizes: Iterable[int]) -> int:
    """Return the bytes that a step needs temporarily.

    torch's own optimizers update a whole group at once and make a copy of its size.

    Args:
        optimizer: The optimizer.
        sizes: Bytes of each parameter group.
    """
    if type(optimizer).__module__.startswith("torch.optim"):
        together = optimizer.defaults.get("foreach") is not False and not optimizer.defaults.get("fused")
        together = together and not can_fuse(optimizer)  # the estimate is for a GPU
        return max(sizes, default=0) if together else 0
    return 0
