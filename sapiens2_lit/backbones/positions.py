"""Learned positions of a grid of patches, resampled to another grid as Sapiens v1 does."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sapiens2_lit.errors import WeightsError

PORTRAIT = (4, 3)  # rows and columns of a released task model's grid are in this proportion

Grid = tuple[int, int]  # rows and columns of patches


def resampled(table: Tensor, held: Grid, wanted: Grid, prefix: int) -> Tensor:
    """Positions (1, prefix + rows * columns, C) at another grid: bicubic, align_corners False, in float32.

    Args:
        table: at the grid `held`.
        prefix: positions in front, of tokens that are no patches; they stay as they are.
    """
    patches = table[:, prefix:].float().transpose(1, 2).unflatten(2, held)
    patches = F.interpolate(patches, wanted, mode="bicubic", align_corners=False)
    return torch.cat([table[:, :prefix].float(), patches.flatten(2).transpose(1, 2)], dim=1)


def table_for(table: Tensor, has_class: bool, wanted: Grid, keep_class: bool, origin: str) -> Tensor:
    """Positions of a file, (1, n, C), as a backbone holds them.

    Args:
        table: of the file.
        has_class: its first position is the class token's.
        wanted: the backbone's grid.
        keep_class: the backbone has a class token.
        origin: of the file, for messages.

    Raises:
        WeightsError: n is neither the wanted grid's, nor a square's, nor a 4:3 grid's.
    """
    patches = table[:, int(has_class) :]
    count = patches.shape[1]
    held = wanted if count == wanted[0] * wanted[1] else grid_of(count)
    if held is None:
        raise WeightsError(
            f"{origin}: pos_embed: found positions of {count} patches, expected those of {wanted[0]} x {wanted[1]}, of "
            "a square, or of a grid of 4:3 such as 64 x 48: give the file's own image_size."
        )
    first = table[:, : int(keep_class)].float()
    other = patches if held == wanted else resampled(patches, held, wanted, 0)
    return torch.cat([first, other.float()], dim=1)


def grid_of(count: int) -> Grid | None:
    """Rows and columns of so many patches: of a square as in pretraining, or in the proportion of task models."""
    side = math.isqrt(count)
    if side**2 == count:
        return side, side
    rows, columns = PORTRAIT
    unit = math.isqrt(count // (rows * columns))
    return (rows * unit, columns * unit) if rows * columns * unit**2 == count else None
