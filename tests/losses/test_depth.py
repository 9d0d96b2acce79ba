"""Losses of depth: invariance, smoothness where nothing is wrong, a way back from impossible depths."""

import math

import pytest
import torch

from sapiens2_lit.errors import SettingError
from sapiens2_lit.losses.depth import GradientMatching, ScaleShiftInvariantL1, SiLog, log_ratio

TERMS = [
    SiLog(),
    SiLog(released=True),
    SiLog(relative=True),
    ScaleShiftInvariantL1(),
    GradientMatching(),
    GradientMatching(relative=True),
]
ONE = torch.ones(1, 1, 1, 1, dtype=torch.bool)


def problem(size=(21, 18), dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 1, *size)
    prediction = (2 + torch.rand(shape, generator=generator, dtype=dtype)).requires_grad_()
    target = 2 + torch.rand(shape, generator=generator, dtype=dtype)
    return prediction, target, torch.rand(shape, generator=generator) > 0.3


@pytest.mark.parametrize("term", TERMS)
def test_what_does_not_count_changes_nothing(term):
    prediction, target, valid = problem()
    expected = term(prediction, target, valid)
    (expected_gradient,) = torch.autograd.grad(expected, prediction, retain_graph=True)
    for hole in (torch.nan, -torch.inf, 0.0, -3.0):
        loss = term(prediction, torch.where(valid, target, hole), valid)
        (gradient,) = torch.autograd.grad(loss, prediction)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient, expected_gradient)
    assert expected_gradient.norm() > 0 and not expected_gradient[~valid].any()


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("samples", [(), (1,)])
def test_samples_without_valid_pixels_have_no_loss(term, samples):
    """Alone they give 0; beside another sample they halve its loss, but for the released form."""
    prediction, target, valid = problem()
    keep = torch.zeros(2, 1, 1, 1, dtype=torch.bool)
    keep[list(samples)] = True
    loss = term(prediction, torch.where(keep, target, torch.nan), valid & keep)
    loss.backward()
    assert prediction.grad.isfinite().all() and not prediction.grad[~(valid & keep)].any()
    expected = term(prediction[1:], target[1:], valid[1:]) if samples else torch.zeros((), dtype=loss.dtype)
    torch.testing.assert_close(loss, expected.detach() / (1 if term.released else 2))


@pytest.mark.parametrize("term", [term for term in TERMS if term is not TERMS[1]])
def test_gradients_are_those_of_the_value(term):
    prediction, target, valid = problem(size=(6, 5))
    assert torch.autograd.gradcheck(lambda p: term(p, target, valid), prediction)


def test_silog_is_its_formula():
    prediction, target, valid = problem()
    roots = []
    for p, t, v in zip(prediction, target, valid, strict=True):
        d = t[v].log() - p[v].log()
        roots.append((d.square().mean() - 0.5 * d.mean().square()).sqrt())
    expected = (roots[0] + roots[1]) / 2
    torch.testing.assert_close(SiLog(released=True)(prediction, target, valid), expected)
    torch.testing.assert_close(SiLog(eps=1e-9)(prediction, target, valid), expected)
    assert SiLog()(prediction, target, valid).item() == pytest.approx(expected.item(), abs=1e-3)


def test_silog_is_smooth_where_nothing_is_wrong():
    """The root of the released form has an infinite slope at 0: one sample without error makes all gradients NaN."""
    _, target, valid = problem()
    for term, finite in ((SiLog(), True), (SiLog(released=True), False)):
        prediction = target.clone().requires_grad_()
        loss = term(prediction, target, valid)
        loss.backward()
        assert loss.item() == 0 and prediction.grad.isfinite().all().item() is finite


@pytest.mark.parametrize("depth", [-5.0, -1e-3, 0.0, 1e-6])
def test_silog_leads_back_from_depths_that_have_no_logarithm(depth):
    prediction = torch.full((1, 1, 4, 4), depth, requires_grad=True)
    target = torch.full((1, 1, 4, 4), 2.0)
    loss = SiLog()(prediction, target, ONE.expand(1, 1, 4, 4))
    loss.backward()
    assert loss.isfinite() and (prediction.grad < 0).all() and prediction.grad.abs().max() < 10


@pytest.mark.parametrize("depth", [-1.0, 0.0, torch.nan])
@pytest.mark.parametrize("term", [SiLog(), SiLog(released=True)])
def test_labels_that_count_and_have_no_logarithm_are_not_passed_over(term, depth):
    prediction, target, valid = problem()
    valid[0, 0, 0, 0], target[0, 0, 0, 0] = True, depth
    assert not term(prediction, target, valid).isfinite()


def test_continued_logarithm_is_smooth_and_rises():
    ratio = torch.linspace(-2, 3, 5001, dtype=torch.float64, requires_grad=True)
    value = log_ratio(ratio)
    (slope,) = torch.autograd.grad(value.sum(), ratio)
    torch.testing.assert_close(value[ratio > 0.1], ratio[ratio > 0.1].log())
    assert (value.diff() > 0).all() and slope.diff().abs().max() < 0.11  # no jump: 10 to 1 / 0.101 at most
    assert slope.max().item() == pytest.approx(10)


def test_silog_with_full_variance_is_blind_to_scale_and_with_none_is_not():
    _, target, valid = problem()
    blind, half, none = (SiLog(variance=v)(1.7 * target, target, valid).item() for v in (1, 0.5, 0))
    assert blind < 1e-9
    assert half == pytest.approx(math.log(1.7) * math.sqrt(0.5), abs=1e-3)
    assert none == pytest.approx(math.log(1.7), abs=1e-3)


def test_relative_silog_learns_the_label_scaled_to_one():
    _, target, valid = problem()
    low = torch.where(valid, target, torch.inf).amin(dim=(1, 2, 3), keepdim=True)
    high = torch.where(valid, target, -torch.inf).amax(dim=(1, 2, 3), keepdim=True)
    scaled = (target - low) / (high - low)
    term = SiLog(relative=True)
    assert term(scaled, target, valid).item() < 1e-9
    torch.testing.assert_close(term(0.5 * scaled, 40 * target + 7, valid), term(0.5 * scaled, target, valid))


@pytest.mark.parametrize("term", [ScaleShiftInvariantL1(), GradientMatching(relative=True)])
def test_relative_losses_see_neither_scale_nor_shift(term):
    prediction, target, valid = problem()
    loss = term(prediction, target, valid)
    torch.testing.assert_close(term(0.2 * prediction - 3, 50 * target + 8, valid), loss)
    assert term(0.2 * target - 3, target, valid).item() < 1e-9
    assert term(-prediction, target, valid).item() != pytest.approx(loss.item())  # inside out is not the same
    # nothing pulls on the scale or the shift of the prediction
    (gradient,) = torch.autograd.grad(loss, prediction)
    per_sample = (gradient.sum(dim=(1, 2, 3)), (gradient * prediction).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(torch.stack(per_sample), torch.zeros(2, 2, dtype=torch.float64))


def test_inside_out_is_worse_than_flat_and_flat_has_a_way_out():
    _, target, valid = problem()
    flat = torch.ones_like(target).requires_grad_()
    term = ScaleShiftInvariantL1()
    loss = term(flat, target, valid)
    loss.backward()
    assert term(-target, target, valid) > loss > 0
    assert flat.grad.isfinite().all() and flat.grad.norm() > 0
    better = flat.detach() - 1e-3 * flat.grad / flat.grad.norm()
    assert term(better, target, valid) < loss


def test_gradient_matching_sees_edges_not_levels():
    _, target, valid = problem()
    assert GradientMatching()(target + 4, target, valid).item() == pytest.approx(0, abs=1e-12)
    assert GradientMatching()(1.1 * target, target, valid).item() > 0.01
    step = torch.zeros_like(target)
    step[..., 9:] = 1
    # over any blocks, an error of one step shows at each scale: one column of differences in W - 1, twice at 2 x 2 ...
    full = torch.ones_like(valid)
    one = GradientMatching(weight=1, scales=1)(target + step, target, full)
    assert one.item() == pytest.approx(1 / 17)
    assert GradientMatching(weight=1, scales=4)(target + step, target, full).item() > 3 * one.item()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(SettingError, match=r"SiLog: `variance` is 1.5"):
        SiLog(variance=1.5)
    with pytest.raises(SettingError, match=r"SiLog: `eps` is 0"):
        SiLog(eps=0)
    with pytest.raises(SettingError, match=r"`relative` and `released`"):
        SiLog(relative=True, released=True)
    with pytest.raises(SettingError, match=r"GradientMatching: `scales` is 0"):
        GradientMatching(scales=0)
