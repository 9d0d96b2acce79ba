"""Alignment: exact recovery, outliers, samples that determine nothing, standardized depth."""

import pytest
import torch

from sapiens2_lit.geometry import align, relative_depth, standardize_depth


def problem(channels=3, batch=3, size=(20, 15)):
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(batch, channels, *size, generator=generator, dtype=torch.float64)
    points[:, -1] += 4
    return points, torch.rand(batch, 1, *size, generator=generator) > 0.3


SCALE = torch.tensor([0.2, 1.0, 30.0], dtype=torch.float64)


def shifts(shift, channels):
    by = torch.tensor([[0.5, -0.2, 1.0], [0.0, 0.0, 0.0], [-3.0, 8.0, -2.0]], dtype=torch.float64)[
        :, -channels:
    ]
    keep = {"none": torch.zeros(channels), "z": torch.eye(channels)[-1], "all": torch.ones(channels)}[shift]
    return by * keep


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shift", ["none", "z", "all"])
@pytest.mark.parametrize("robust", [False, True])
def test_an_exact_relation_is_recovered(channels, shift, robust):
    prediction, valid = problem(channels)
    offset = shifts(shift, channels)
    target = SCALE[:, None, None, None] * prediction + offset[:, :, None, None]
    hidden = torch.where(valid, target, torch.nan)
    found = align(torch.where(valid, prediction, torch.inf), hidden, valid, shift=shift, robust=robust)
    torch.testing.assert_close(found.scale, SCALE)
    torch.testing.assert_close(found.shift, offset, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.apply(prediction), target)


@pytest.mark.parametrize("shift", ["none", "z", "all"])
@pytest.mark.parametrize("robust", [False, True])
def test_no_other_scale_or_shift_is_better(shift, robust):
    prediction, valid = problem()
    noise = torch.randn(prediction.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = 1.5 * prediction + 0.5 * noise.sign() * noise.square()
    weight = torch.rand(valid.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = align(prediction, target, valid, shift=shift, weight=weight, robust=robust)

    def cost(scale, offset):
        error = scale[:, None, None, None] * prediction + offset[:, :, None, None] - target
        error = error.abs() if robust else error.square()
        return (torch.where(valid, weight, 0) * error).sum(dim=(1, 2, 3))

    best = cost(*found)
    slack = 1e-4 if robust else 0  # reweighting stops a little before the kink
    for step in (1e-2, -1e-2):
        assert (cost(found.scale + step, found.shift) >= best * (1 - slack)).all()
        moved = shifts(shift, 3).abs().clamp(max=1) * step
        assert (cost(found.scale, found.shift + moved) >= best * (1 - slack)).all()


def test_robust_alignment_ignores_gross_outliers_and_squares_do_not():
    prediction, valid = problem(size=(40, 30))
    wrong = torch.rand(valid.shape, generator=torch.Generator().manual_seed(3)) < 0.25
    target = torch.where(wrong, 50.0, SCALE[:, None, None, None] * prediction)
    robust = align(prediction, target, valid, shift="z", robust=True)
    squares = align(prediction, target, valid, shift="z")
    torch.testing.assert_close(robust.scale, SCALE, rtol=1e-2, atol=0)
    assert ((squares.scale / SCALE - 1).abs() > 0.05).all()


def test_the_solution_is_held_fixed_and_the_prediction_learns():
    prediction, valid = problem()
    prediction.requires_grad_()
    found = align(prediction, 2 * prediction.detach() + 0.1, valid)
    assert not found.scale.requires_grad and not found.shift.requires_grad
    found.apply(prediction).sum().backward()
    torch.testing.assert_close(prediction.grad, found.scale[:, None, None, None].expand_as(prediction))


@pytest.mark.parametrize("robust", [False, True])
def test_scales_are_positive_and_finite_whatever_comes(robust):
    prediction, valid = problem()
    inside_out = align(-prediction, prediction, valid, shift="all", robust=robust)
    torch.testing.assert_close(inside_out.scale, torch.ones(3, dtype=torch.float64))
    for given, counted in (
        (torch.zeros_like(prediction), valid),
        (torch.ones_like(prediction), valid),
        (prediction, torch.zeros_like(valid)),
    ):
        for target in (prediction, torch.zeros_like(prediction)):
            found = align(given, target, counted, shift="all", robust=robust)
            assert (found.scale > 0).all() and found.scale.isfinite().all() and found.shift.isfinite().all()
    flat = align(torch.ones_like(prediction), prediction, valid, shift="all")
    mean = torch.where(valid, prediction, 0).sum(dim=(2, 3)) / valid.sum(dim=(2, 3))
    torch.testing.assert_close(flat.apply(torch.ones_like(prediction))[:, :, 0, 0], mean)


def test_relative_depth_fills_zero_to_one():
    depth, valid = problem(1)
    relative = relative_depth(torch.where(valid, depth, torch.nan), valid)
    for one, counted in zip(relative, valid, strict=True):
        assert one[counted].min() == 0 and one[counted].max() == 1 and not one[~counted].any()
    torch.testing.assert_close(relative_depth(5 * depth - 3, valid), relative)
    none = relative_depth(depth, torch.zeros_like(valid))
    assert not none.any() and not relative_depth(torch.ones_like(depth), valid).any()


def test_standardized_depth_has_median_zero_and_deviation_one():
    depth, valid = problem(1)
    result = standardize_depth(torch.where(valid, depth, torch.nan), valid)
    for one, source, counted in zip(result, depth, valid, strict=True):
        assert one[counted].abs().mean().item() == pytest.approx(1)
        assert one[counted].median().item() == pytest.approx(0)
        centred = source[counted] - source[counted].median()
        torch.testing.assert_close(one[counted], centred / centred.abs().mean())
        assert not one[~counted].any()
    assert not standardize_depth(depth, torch.zeros_like(valid)).any()
