"""The parts of a network that are compiled and sharded one by one."""

import torch
from torch import nn


def blocks_of(backbone: nn.Module) -> list[nn.Module]:
    """The blocks of a backbone in the order in which they run; empty where it has none under that name."""
    blocks = getattr(backbone, "blocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList) else []


def compile_blocks(backbone: nn.Module) -> None:
    """Compile each block in place, which keeps every name in the state dict."""
    # Blocks of two kinds, training and evaluation, and the last batch of an epoch each take a version.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)
    for block in blocks_of(backbone) or [backbone]:
        block.compile()
