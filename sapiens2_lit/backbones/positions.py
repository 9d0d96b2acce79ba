"""Learned positions of a grid of patches, resampled to another grid as in Sapiens v1."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sapiens2_lit.errors import WeightsError

PORTRAIT = (4, 3)  # rows : columns of the grids of released task models

Grid = tuple[int, int]  # rows and columns of patches


def resampled(table: Tensor, held: Grid, wanted: Grid, prefix: int) -> Tensor:
    """Resample positions to another grid: bicubic, align_corners False, in float32.

    Args:
        table: Positions (1, P + N, C) of P prefix tokens and N patches.
        held: Grid of the table: rows and columns.
        wanted: The new grid.
        prefix: P, the number of tokens in front that are not patches; their positions stay unchanged.

    Returns:
        (1, P + rows * columns, C).
    """
    patches = table[:, prefix:].float().transpose(1, 2).unflatten(2, held)
    patches = F.interpolate(patches, wanted, mode="bicubic", align_corners=False)
    return torch.cat([table[:, :prefix].float(), patches.flatten(2).transpose(1, 2)], dim=1)


def table_for(table: Tensor, has_class: bool, wanted: Grid, keep_class: bool, origin: str) -> Tensor:
    """Return a file's positions as a backbone holds them, (1, N, C).

    Args:
        table: Positions of the file (1, M, C).
        has_class: The first position of the file is the class token's.
        wanted: The backbone's grid.
        keep_class: The backbone has a class token.
        origin: Name of the file, for messages.

    Raises:
        WeightsError: The number of patches fits neither the wanted grid, nor a square, nor a 4:3 grid.
    """
    patches = table[:, int(has_class) :]
    count = patches.shape[1]
    held = wanted if count == wanted[0] * wanted[1] else grid_of(count)
    if held is None:
        raise WeightsError(
            f"{origin}: pos_embed: found positions of {count} patches, expected those of {wanted[0]} x {wanted[1]}, of "
            "a square grid, or of a 4:3 grid such as 64 x 48: give the image_size of the file."
        )
    first = table[:, : int(keep_class)].float()
    other = patches if held == wanted else resampled(patches, held, wanted, 0)
    return torch.cat([first, other.float()], dim=1)


def grid_of(count: int) -> Grid | None:
    """Return the rows and columns of `count` patches: a square as in pretraining, or 4:3 as in task models.

    None if they fit neither.
    """
    side = math.isqrt(count)
    if side**2 == count:
        return side, side
    rows, columns = PORTRAIT
    unit = math.isqrt(count // (rows * columns))
    return (rows * unit, columns * unit) if rows * columns * unit**2 == count else None
