"""Choose the patches of an image to mask, exactly the wanted number, in blocks or one by one; or those to keep.

Legend: grid is rows and columns of patches, N their product.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError

Mask = npt.NDArray[np.bool_]

# Blocks as in BEiT (arXiv:2106.08254), section 2.2: 4 patches or more, height / width from 0.3 to 1 / 0.3.
LEAST_BLOCK = 4
LEAST_ASPECT = 0.3
TRIES = 10  # blocks in a row without a new patch before single patches are masked instead


def masked_count(grid: tuple[int, int], ratio: float) -> int:
    """Return floor(ratio * N), the number of masked patches.

    Raises:
        SettingError: None or all of the patches would be masked.
    """
    patches = grid[0] * grid[1]
    count = math.floor(ratio * patches)
    if not 0 < count < patches:
        left = "no patch for the encoder" if count else "nothing to reconstruct"
        raise SettingError(
            f"model.mae.mask_ratio: found {ratio} with {grid[0]} x {grid[1]} patches, which leaves {left}; expected "
            f"1 to {patches - 1} masked patches: use another ratio or a larger data.image_size"
        )
    return count


def draw_mask(
    grid: tuple[int, int], ratio: float, block_probability: float, rng: np.random.Generator
) -> Mask:
    """Draw the mask of one image, (rows, columns), true for exactly floor(ratio * N) masked patches.

    Args:
        grid: Rows and columns of patches.
        ratio: Share of masked patches.
        block_probability: Probability of a mask of blocks.
        rng: Source of random numbers.
    """
    count = masked_count(grid, ratio)
    if rng.random() < block_probability:
        return block_mask(grid, count, rng)
    mask = np.zeros(grid[0] * grid[1], dtype=np.bool_)
    mask[rng.permutation(mask.size)[:count]] = True
    return mask.reshape(grid)


def block_mask(grid: tuple[int, int], count: int, rng: np.random.Generator) -> Mask:
    """Mask rectangles until exactly `count` patches are masked; of the last one, a random part is masked.

    Args:
        grid: Rows and columns of patches.
        count: Number of masked patches.
        rng: Source of random numbers.
    """
    rows, columns = grid
    mask = np.zeros(grid, dtype=np.bool_)
    tries = 0
    while (missing := count - int(mask.sum())) > 0 and tries < TRIES:
        area = rng.uniform(min(LEAST_BLOCK, missing), missing)
        aspect = math.exp(rng.uniform(math.log(LEAST_ASPECT), -math.log(LEAST_ASPECT)))
        height = min(rows, max(1, round(math.sqrt(area * aspect))))
        width = min(columns, max(1, round(math.sqrt(area / aspect))))
        top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
        block = np.zeros(grid, dtype=np.bool_)
        block[top : top + height, left : left + width] = True
        new = np.flatnonzero(block & ~mask)
        tries = 0 if len(new) else tries + 1
        mask.flat[rng.permutation(new)[:missing]] = True
    if missing > 0:
        mask.flat[rng.permutation(np.flatnonzero(~mask))[:missing]] = True
    return mask


def draw_masks(
    seeds: Sequence[int], views: int, grid: tuple[int, int], ratio: float, block_probability: float
) -> tuple[Tensor, Tensor]:
    """Draw the masks of the views of a batch, each only from the seed of its sample.

    Args:
        seeds: Seed of each sample.
        views: Number of views of each sample.
        grid: Rows and columns of patches.
        ratio: Share of masked patches.
        block_probability: Probability of a mask of blocks.

    Returns:
        Visible (B * views, V) and masked (B * views, M) patches, int64 on the CPU, increasing; the views of a sample
            follow each other.
    """
    masks = np.stack(
        [
            draw_mask(grid, ratio, block_probability, np.random.default_rng((seed, view))).ravel()
            for seed in seeds
            for view in range(views)
        ]
    )
    order = torch.from_numpy(np.argsort(masks, axis=1, kind="stable"))
    count = int(masks[0].sum())
    return order[:, : order.shape[1] - count], order[:, order.shape[1] - count :]


def cut_parts(images: Tensor, side: float, patch: int, seeds: list[int]) -> Tensor:
    """Cut a rectangle of whole patches from each image (B, 3, H, W), at a position drawn from the sample's seed.

    Args:
        images: (B, 3, H, W).
        side: Sides of the rectangle, as a share of the image's sides.
        patch: Side of a patch in pixels.
        seeds: Seed of each sample.
    """
    height, width = (
        max(min(2, whole // patch), round(side * whole / patch)) * patch for whole in images.shape[-2:]
    )
    parts = []
    for image, seed in zip(images, seeds, strict=True):
        rng = np.random.default_rng((seed, 1 << 20))
        top = int(rng.integers(images.shape[-2] - height + 1))
        left = int(rng.integers(images.shape[-1] - width + 1))
        parts.append(image[:, top : top + height, left : left + width])
    return torch.stack(parts)
