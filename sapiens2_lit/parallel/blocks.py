"""Compilation of a network, block by block."""

from collections.abc import Iterable

import torch
from torch import nn


def compile_blocks(blocks: Iterable[nn.Module]) -> None:
    """Compile each block in place, which keeps every name in the state dict."""
    # Two kinds of blocks, training and evaluation, and the last batch of an epoch each need a compiled version.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)
    for block in blocks:
        block.compile()
