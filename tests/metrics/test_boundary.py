"""F1 of depth boundaries, counted by hand."""

import pytest
import torch

from sapiens2_lit.metrics.boundary import BoundaryF1


def step(column, near=1.0, far=2.0):
    """A wall at `near`, and behind it, from a column on, one at `far`."""
    depth = torch.full((1, 1, 6, 10), near)
    depth[..., column:] = far
    return depth


def f1(prediction, target, valid=None):
    metric = BoundaryF1()
    metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool) if valid is None else valid)
    return metric.compute()["depth_pro_boundary_f1"].item()


def test_a_step_must_be_in_its_place_and_direction():
    assert f1(step(5), step(5)) == pytest.approx(1)
    assert f1(step(4), step(5)) == 0
    assert f1(step(5, near=2, far=1), step(5)) == 0
    assert f1(step(5).mT.contiguous(), step(5).mT.contiguous()) == pytest.approx(1)


def test_half_of_the_steps_give_precision_one_and_recall_a_half():
    target = step(3)
    target[..., 7:] = 4.0
    assert f1(step(3), target) == pytest.approx(2 / 3)


def test_scale_does_not_matter_and_low_steps_count_at_low_thresholds_only():
    assert f1(9 * step(5), step(5)) == pytest.approx(1)
    low = f1(step(5, far=1.1), step(5))
    assert 0 < low < 0.5


def test_steps_at_invalid_pixels_do_not_count():
    valid = torch.ones(1, 1, 6, 10, dtype=torch.bool)
    valid[..., 5] = False
    target = torch.where(valid, step(5), torch.nan)
    assert torch.tensor(f1(step(5), target, valid)).isnan()
    assert torch.tensor(f1(step(5, far=1.0), step(5, far=1.0))).isnan()


def test_depth_that_is_none_has_no_steps():
    assert f1(-step(5), step(5)) == 0
    assert f1(step(5) * torch.nan, step(5)) == 0
