"""How a plain model is made ready for the devices it runs on."""

import torch
from torch import nn

from sapiens2_lit.backbones.base import Backbone


def compile_blocks(backbone: Backbone) -> None:
    """Compile each block in place, which keeps every name in the state dict."""
    # Blocks of two kinds, training and evaluation, and the last batch of an epoch each take a version.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)
    blocks = getattr(backbone, "blocks", None)
    for block in blocks if isinstance(blocks, nn.ModuleList) else [backbone]:
        block.compile()
