"""Rotary position embedding (RoPE, arXiv:2104.09864) of the patch grid, by rows and columns.

Shape suffixes: b batch, h attention heads, n tokens, d channels of a head.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

THETA = 100.0

Grid = tuple[int, int]  # rows and columns of patches
RopeTables = tuple[Tensor, Tensor]  # cosines and sines, each (n, d)


def rope_periods(head_dim: int, dtype: torch.dtype, device: torch.device | str | None = None) -> Tensor:
    """Return the periods 100^(2j / (D/2)) for j = 0 .. D/4 - 1.

    Args:
        head_dim: Channels of an attention head, D.
        dtype: Dtype of the result.
        device: Device of the result.

    Returns:
        (D // 4,).
    """
    steps_q = torch.arange(head_dim // 4, dtype=dtype, device=device)
    return THETA ** (2 * steps_q / (head_dim // 2))


def _build(
    grid: Grid,
    head_dim: int,
    prefix: int,
    dtype: torch.dtype,
    device: torch.device,
    out: torch.dtype,
) -> RopeTables:
    # Autocast would compute the power in float32 and so change the released bfloat16 tables.
    with torch.autocast(device.type, enabled=False):
        rows, columns = (
            2 * ((torch.arange(side, dtype=dtype, device=device) + 0.5) / side) - 1 for side in grid
        )
        periods_q = rope_periods(head_dim, dtype, device)
        centres_hw2 = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
        angles_nd = (2 * math.pi * centres_hw2[..., None] / periods_q).flatten(0, 1).flatten(1).tile(2)
        # Angle 0 does not change class and register tokens: one rotation serves all tokens.
        angles_nd = torch.cat([angles_nd.new_zeros(prefix, head_dim), angles_nd])
        return angles_nd.cos().to(out), angles_nd.sin().to(out)


@lru_cache(maxsize=16)
def _build_once(
    grid: Grid,
    head_dim: int,
    prefix: int,
    dtype: torch.dtype,
    device: torch.device,
    out: torch.dtype,
) -> RopeTables:
    # Tables made in inference mode could not be used in a later training step.
    with torch.inference_mode(False), torch.no_grad():
        return _build(grid, head_dim, prefix, dtype, device, out)


def rope_tables(
    grid: Grid,
    head_dim: int,
    *,
    prefix: int,
    dtype: torch.dtype,
    device: torch.device,
    out: torch.dtype,
) -> RopeTables:
    """Return cosines and sines for `prefix` tokens without a position, then for the patches row by row.

    Args:
        grid: Rows and columns of patches.
        head_dim: Channels of an attention head, D.
        prefix: Number of tokens in front without a position.
        dtype: Dtype in which periods, coordinates and angles are computed; bfloat16 in the released models.
        device: Device of the tables.
        out: Dtype of the tables, in which queries and keys are rotated.

    Returns:
        Two tensors (N, D).
    """
    # A compiler gets plain operations in each forward pass; a cache would give it tensors from outside its graph.
    build = _build if torch.compiler.is_compiling() else _build_once
    return build(grid, head_dim, prefix, dtype, device, out)


def rotate(x_bhnd: Tensor, tables: RopeTables) -> Tensor:
    """Rotate queries or keys (B, H, N, D) in the tables' dtype, and return them in their original dtype."""
    cos_nd, sin_nd = tables
    y_bhnd = x_bhnd.to(cos_nd.dtype)
    first, second = y_bhnd.chunk(2, dim=-1)
    turned_bhnd = torch.cat([-second, first], dim=-1)
    return (y_bhnd * cos_nd + turned_bhnd * sin_nd).to(x_bhnd.dtype)


class RopePeriods(nn.Module):
    """The buffer `rope_embed.periods` of the released state dict.

    Only files need it: casting the whole model (`bf16-true`) would round it, so tables are computed from the formula.
    """

    periods: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.register_buffer("periods", torch.empty(head_dim // 4))

    def init_weights(self) -> None:
        """Set the periods by the formula, in place."""
        self.periods.copy_(rope_periods(self.head_dim, torch.float32))
