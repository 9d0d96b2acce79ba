"""Masks are exact, whatever the rectangle, and depend on the sample's seed alone."""

import math

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.training.pretraining.masks import block_mask, draw_mask, draw_masks, masked_count

GRIDS = [(64, 48), (3, 4), (2, 2), (1, 7), (16, 5)]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("block_probability", [0.0, 0.4, 1.0])
def test_every_mask_has_exactly_floor_of_the_ratio(grid: tuple[int, int], block_probability: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = draw_mask(grid, 0.75, block_probability, rng)
        assert mask.shape == grid
        assert mask.sum() == math.floor(0.75 * grid[0] * grid[1])


def test_blocks_lie_together_and_single_patches_do_not() -> None:
    """The share of neighbors that are both masked, of masks with half of the patches."""

    def together(block_probability: float) -> float:
        rng = np.random.default_rng(1)
        masks = [draw_mask((24, 18), 0.5, block_probability, rng) for _ in range(30)]
        return float(np.mean([(mask[1:] & mask[:-1]).sum() / mask.sum() for mask in masks]))

    assert together(0.0) == pytest.approx(0.48, abs=0.03)
    assert together(1.0) > 0.75
    assert together(0.0) < together(0.4) < together(1.0)


def test_a_block_mask_may_hold_all_but_one() -> None:
    assert block_mask((3, 5), 14, np.random.default_rng(0)).sum() == 14


@pytest.mark.parametrize(("ratio", "problem"), [(0.01, "nothing to reconstruct"), (0.999999, None)])
def test_a_ratio_that_leaves_nothing_is_an_error(ratio: float, problem: str | None) -> None:
    if problem is None:
        assert masked_count((4, 3), ratio) == 11
        return
    with pytest.raises(SettingError, match=problem):
        masked_count((4, 3), ratio)
    with pytest.raises(SettingError, match="image_size"):
        masked_count((1, 1), 0.75)


def test_masks_are_the_samples_whatever_is_beside_them() -> None:
    visible, masked = draw_masks([5, 6], 2, (4, 3), 0.75, 0.4)
    assert visible.shape == (4, 3)
    assert masked.shape == (4, 9)
    alone, _ = draw_masks([6], 2, (4, 3), 0.75, 0.4)
    assert (visible[2:] == alone).all()
    for row, rest in zip(visible.tolist(), masked.tolist(), strict=True):
        assert sorted(row + rest) == list(range(12))
    assert (visible[0] != visible[1]).any()
