"""The window tokenizer of the 4K models, which turns 4 x 4 patches into one token.

Shape suffixes: b batch, w windows of all images, t tokens of a window, c channels.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sapiens2_lit.backbones.layers import Block, init_normal
from sapiens2_lit.backbones.sizes import WINDOW, BackboneSize

CHUNK = 1024  # windows processed at a time; an image of 4096 x 3072 has 3072


class WindowTokenizer(nn.Module):
    """Encode each window of patches with a shared class token, which then represents the window.

    An image of 4096 x 3072 has 49152 patches, so windows are processed in chunks. While gradients are recorded, each
    chunk is checkpointed: its activations are computed again in the backward pass.
    """

    def __init__(self, size: BackboneSize) -> None:
        super().__init__()
        self.local_pos_embed = nn.Parameter(torch.zeros(1, 1 + WINDOW**2, size.width))
        self.w_cls = nn.Parameter(torch.zeros(1, 1, size.width))
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads, size.heads, size.mlp_width, modern=False)
            for _ in range(size.tokenizer_depth)
        )

    def init_weights(self) -> None:
        """Initialize the two embeddings; the backbone initializes the layers of the blocks."""
        init_normal(self.local_pos_embed)
        init_normal(self.w_cls)

    def forward(self, x_bnc: Tensor, grid: tuple[int, int]) -> Tensor:
        """Turn patches (B, rows * columns, C), row by row, into windows (B, rows * columns / 16, C), row by row."""
        rows, columns = grid[0] // WINDOW, grid[1] // WINDOW
        windows_wtc = (
            x_bnc.unflatten(1, (rows, WINDOW, columns, WINDOW)).transpose(2, 3).flatten(3, 4).flatten(0, 2)
        )
        if torch.compiler.is_exporting():  # a graph cannot have a number of chunks that depends on the batch
            tokens_wc = self._encode(windows_wtc)
        else:
            encode = self._encode_again if torch.is_grad_enabled() else self._encode
            tokens_wc = torch.cat([encode(chunk) for chunk in windows_wtc.split(CHUNK)])
        return tokens_wc.unflatten(0, (-1, rows * columns))

    def _encode(self, windows_wtc: Tensor) -> Tensor:
        x_wtc = torch.cat([self.w_cls.expand(windows_wtc.shape[0], -1, -1), windows_wtc], dim=1)
        x_wtc = x_wtc + self.local_pos_embed
        for block in self.blocks:
            x_wtc = block(x_wtc)
        return x_wtc[:, 0]

    def _encode_again(self, windows_wtc: Tensor) -> Tensor:
        return checkpoint(self._encode, windows_wtc, use_reentrant=False, preserve_rng_state=False)
