"""How a plain model is made ready for the devices it runs on."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone


def compile_blocks(backbone: Backbone) -> None:
    """Compile each block in place, which keeps every name in the state dict."""
    # Blocks of two kinds, training and evaluation, and the last batch of an epoch each take a version.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)
    blocks = getattr(backbone, "blocks", None)
    for block in blocks if isinstance(blocks, nn.ModuleList) else [backbone]:
        block.compile()


def several_ranks() -> bool:
    """Whether other processes take part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of every rank's tensor, on all of them; the tensor itself where there is one rank."""
    if not several_ranks():
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def max_over_ranks(tensor: Tensor) -> Tensor:
    """The elementwise greatest of every rank's tensor, on all of them; the tensor itself where there is one rank."""
    if not several_ranks():
        return tensor
    greatest = tensor.clone()
    dist.all_reduce(greatest, op=dist.ReduceOp.MAX)
    return greatest
