"""How a plain model is made ready for the devices it runs on."""

from torch import nn

from sapiens2_lit.backbones.base import Backbone


def compile_blocks(backbone: Backbone) -> None:
    """Compile each block in place, which keeps every name in the state dict."""
    blocks = getattr(backbone, "blocks", None)
    for block in blocks if isinstance(blocks, nn.ModuleList) else [backbone]:
        block.compile()
