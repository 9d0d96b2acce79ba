"""Metrics named after MoGe are its formulas, though some points are far off, and their alignments are the best."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from sapiens2_lit.geometry import align, align_l1
from sapiens2_lit.metrics import DepthErrors, PointErrors

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "moge_metrics.py"))


def test_values_are_those_of_the_formulas() -> None:
    rows = SCRIPT["compare"](300, 0.05)
    assert len(rows) == 12
    for name, own, formula, squares in rows:
        assert own == pytest.approx(formula, abs=1e-6), name
        if "moge_scale" in name:
            assert abs(own - squares) > 0.2, "least squares follow the outliers"


def test_inliers_are_within_a_quarter_of_the_nearer_of_both() -> None:
    """A quarter of the label alone would favor predictions that are too near."""
    rng = np.random.default_rng(0)
    target = rng.uniform(1, 4, (500, 3))
    prediction = target * (1 + 0.22 * rng.standard_normal((500, 1)))
    distance = np.linalg.norm(prediction - target, axis=1)
    lengths = [np.linalg.norm(side, axis=1) for side in (prediction, target)]
    expected = (distance < 0.25 * np.minimum(*lengths)).mean()
    found = SCRIPT["measured"](PointErrors(), prediction, target)["point_delta1"]
    assert found == pytest.approx(expected) and found < (distance < 0.25 * lengths[1]).mean()


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_no_other_scale_and_shift_has_a_smaller_error(shift: bool, channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn((2, 2, channels, 9, 7), generator=generator, dtype=torch.float64) + 2
    valid = torch.rand((2, 1, 9, 7), generator=generator) > 0.4
    weight = torch.rand((2, 1, 9, 7), generator=generator, dtype=torch.float64) + 0.1

    def error(scale: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
        left = scale[:, None, None, None] * prediction + moved[:, :, None, None] - target
        return torch.where(valid, weight * left.abs(), 0).sum(dim=(1, 2, 3))

    found = align_l1(prediction, target, valid, shift=shift, weight=weight)
    best = error(*found)
    for _ in range(200):
        step = 10.0 ** torch.randint(-6, 0, (2,), generator=generator).double()
        scale = found.scale + step * torch.randn(2, generator=generator)
        moved = found.shift + shift * step[:, None] * torch.randn((2, channels), generator=generator)
        assert (error(scale.clamp(min=0), moved) >= best - 1e-12).all()


def test_a_third_of_the_labels_may_be_anywhere() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand((1, 3, 40, 50), generator=generator, dtype=torch.float64) + 1
    prediction = (target - 0.3) / 1.7
    target[:, :, :13] += 7 * torch.rand((1, 3, 13, 50), generator=generator, dtype=torch.float64)
    valid = torch.ones(1, 1, 40, 50, dtype=torch.bool)
    found = align_l1(prediction, target, valid, shift=True)
    torch.testing.assert_close(found.scale, torch.tensor([1.7], dtype=torch.float64))
    torch.testing.assert_close(found.shift, torch.full((1, 3), 0.3, dtype=torch.float64))
    assert (align(prediction, target, valid, shift="all").shift - 0.3).abs().min() > 0.3


def test_samples_without_labels_or_spread_stay_as_they_are() -> None:
    prediction, target = torch.zeros(2, 1, 4, 4), torch.full((2, 1, 4, 4), torch.nan)
    valid = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    for shift in (False, True):
        found = align_l1(prediction, target, valid, shift=shift)
        assert found.scale.tolist() == [1, 1] and found.shift.abs().sum() == 0
    valid[1], target[1] = True, 3.0
    assert align_l1(prediction, target, valid, shift=True).apply(prediction)[1].eq(3).all()


def test_inside_out_predictions_are_not_turned_round() -> None:
    target = torch.rand((1, 1, 6, 6), generator=torch.Generator().manual_seed(0)) + 1
    valid = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    assert align_l1(-target, target, valid, shift=True).scale.item() == 0


@pytest.mark.parametrize("metric", [PointErrors, DepthErrors])
def test_names_say_which_alignment(metric: type) -> None:
    target = torch.rand(1, 3 if metric is PointErrors else 1, 4, 4) + 1
    for alignment in ("moge_scale", "moge_affine", "scale"):
        errors = metric(alignment)
        errors.update(2 * target, target, torch.ones(1, 1, 4, 4, dtype=torch.bool))
        assert all(name.startswith(f"{alignment}_") for name in errors.compute())
