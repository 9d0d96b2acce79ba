"""The decoder of masked autoencoding (MAE, arXiv:2111.06377): visible tokens in, pixels of every patch out.

Shape suffixes: b batch, n all patches, v visible ones, c channels, h heads, d channels of a head.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.backbones.layers import init_layer, init_normal
from sapiens2_lit.errors import SettingError
from sapiens2_lit.training.pretraining.settings import Reconstruction

EPS = 1e-6
FULL = 768  # backbones with this many channels or more get the published decoder
PUBLISHED_DEPTH, PUBLISHED_WIDTH = 8, 512
SMALL_DEPTH = 2
PER_HEAD = 32
MLP_RATIO = 4


class DecoderBlock(nn.Module):
    """A plain block of a vision transformer: attention, then a feed-forward network, each behind a LayerNorm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPS), nn.LayerNorm(width, eps=EPS)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, MLP_RATIO * width), nn.Linear(MLP_RATIO * width, width)

    def forward(self, x_bnc: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x_bnc)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y_bhnd = F.scaled_dot_product_attention(q, k, v)
        x_bnc = x_bnc + self.proj(y_bhnd.transpose(1, 2).flatten(2))
        return x_bnc + self.fc2(F.gelu(self.fc1(self.norm2(x_bnc))))


class MAEDecoder(nn.Module):
    """Predicts every patch from the class token and the visible tokens; registers are left out.

    Args:
        backbone: The encoder; its width, patch size and prefix tokens decide the shapes.
        settings: Depth, width and heads.

    Raises:
        SettingError: The width does not fit the heads.
    """

    def __init__(self, backbone: Backbone, settings: Reconstruction) -> None:
        super().__init__()
        small = backbone.embed_dim < FULL
        half = max(PER_HEAD, backbone.embed_dim // 2 // PER_HEAD * PER_HEAD)
        self.width = settings.width or (half if small else PUBLISHED_WIDTH)
        depth = settings.depth or (SMALL_DEPTH if small else PUBLISHED_DEPTH)
        heads = settings.heads or max(1, self.width // PER_HEAD)
        if self.width % (4 * heads):
            raise SettingError(
                f"model.mae.width: found {self.width} with {heads} heads, expected a multiple of {4 * heads}"
            )
        self.prefix: int = backbone.prefix_tokens
        self.embed = nn.Linear(backbone.embed_dim, self.width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, self.width))
        self.blocks = nn.ModuleList(DecoderBlock(self.width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(self.width, eps=EPS)
        self.predict = nn.Linear(self.width, 3 * backbone.patch_size**2)
        if self.mask_token.device.type != "meta":
            self.apply(init_layer)
            init_normal(self.mask_token)

    def forward(self, tokens_bvc: Tensor, visible_bv: Tensor, grid: tuple[int, int]) -> Tensor:
        """Predict every patch, (B, N, 3 * p * p).

        Args:
            tokens_bvc: Tokens of the encoder with the prefix tokens, (B, prefix + V, C).
            visible_bv: The patch of each visible token, (B, V).
            grid: Rows and columns of patches.
        """
        x_bvc = self.embed(tokens_bvc)
        seen_bvc = x_bvc[:, self.prefix :]
        patches = grid[0] * grid[1]
        hidden_bnc = self.mask_token.to(x_bvc.dtype).expand(len(x_bvc), patches, -1)
        x_bnc = hidden_bnc.scatter(1, visible_bv[..., None].expand(-1, -1, self.width), seen_bvc)
        x_bnc = torch.cat([x_bvc[:, :1], x_bnc], dim=1)
        x_bnc = x_bnc + positions(grid, self.width, x_bnc.device).to(x_bnc.dtype)
        for block in self.blocks:
            x_bnc = block(x_bnc)
        return self.predict(self.norm(x_bnc)[:, 1:])


def positions(grid: tuple[int, int], width: int, device: torch.device) -> Tensor:
    """Return fixed sines and cosines of rows and columns; zeros for the class token.

    Args:
        grid: Rows and columns of patches.
        width: Number of channels.
        device: Device of the result.

    Returns:
        (1, 1 + N, C).
    """
    # Tensors without contents, which planning makes, must not be cached.
    build = _build if torch.compiler.is_compiling() or device.type == "meta" else _build_once
    return build(grid, width, device)


def _build(grid: tuple[int, int], width: int, device: torch.device) -> Tensor:
    frequencies_q = torch.exp(
        -math.log(10_000) * torch.arange(width // 4, dtype=torch.float64) / (width // 4)
    )
    rows, columns = (torch.arange(side, dtype=torch.float64)[:, None] * frequencies_q for side in grid)
    # MAE puts columns first
    by_column = torch.cat([columns.sin(), columns.cos()], dim=1)[None].expand(grid[0], -1, -1)
    by_row = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None].expand(-1, grid[1], -1)
    table_nc = torch.cat([by_column, by_row], dim=-1).flatten(0, 1).float()
    return torch.cat([torch.zeros(1, width), table_nc])[None].to(device)


@lru_cache(maxsize=16)
def _build_once(grid: tuple[int, int], width: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():  # made in a validation, it may be used in training
        return _build(grid, width, device)
