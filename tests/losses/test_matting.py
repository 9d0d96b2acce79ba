"""Losses of mattes: their definitions, the pyramid, and pixels that do not count."""

import pytest
import torch
import torch.nn.functional as F

from sapiens2_lit.errors import SettingError
from sapiens2_lit.losses.matting import (
    AlphaCrossEntropy,
    AlphaGradient,
    AlphaL1,
    AlphaLaplacian,
    CompositeL1,
    ForegroundL1,
    laplacian_pyramid,
)

CASES = [
    (AlphaL1(), 1),
    (AlphaCrossEntropy(), 1),
    (AlphaGradient(), 1),
    (AlphaLaplacian(), 1),
    (ForegroundL1(), 3),
    (CompositeL1(), 4),
]


def problem(channels, size=(21, 18), dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shape = (2, channels, *size)
    prediction = torch.rand(shape, generator=generator, dtype=dtype).requires_grad_()
    target = torch.rand(shape, generator=generator, dtype=dtype)
    return prediction, target, torch.rand((2, 1, *size), generator=generator) > 0.3


@pytest.mark.parametrize(("term", "channels"), CASES)
def test_what_does_not_count_changes_nothing(term, channels):
    prediction, target, valid = problem(channels)
    expected = term(prediction, target, valid)
    (expected_gradient,) = torch.autograd.grad(expected, prediction, retain_graph=True)
    loss = term(prediction, torch.where(valid, target, torch.nan), valid)
    (gradient,) = torch.autograd.grad(loss, prediction)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)
    assert gradient.norm() > 0 and not gradient[~valid.expand_as(gradient)].any()


@pytest.mark.parametrize(("term", "channels"), CASES)
def test_no_pixels_or_no_error_is_no_loss(term, channels):
    prediction, target, valid = problem(channels)
    loss = term(prediction, target * torch.nan, torch.zeros_like(valid))
    loss.backward()
    assert loss.item() == 0 and torch.equal(prediction.grad, torch.zeros_like(prediction))
    perfect = target.logit() if term.on_logits else target
    assert term(perfect, target, valid).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("term", "channels"), CASES)
def test_gradients_are_those_of_the_value(term, channels):
    prediction, target, valid = problem(channels, size=(6, 5))
    assert torch.autograd.gradcheck(lambda p: term(p, target, valid), prediction)


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_pyramid_adds_up_to_what_it_came_from(levels):
    values, _, valid = problem(1)
    bands = laplacian_pyramid(values, valid, levels)
    assert len(bands) == levels
    image = bands[-1][0]
    for band, _ in reversed(bands[:-1]):
        raised = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        image = band + raised[..., : band.shape[2], : band.shape[3]]
    torch.testing.assert_close(image, values)


def test_pyramid_of_one_level_is_l1():
    prediction, target, valid = problem(1)
    loss = AlphaLaplacian(levels=1)(prediction, target, valid)
    torch.testing.assert_close(loss, AlphaL1()(prediction, target, valid))


def test_an_error_over_a_region_costs_the_pyramid_more_than_as_much_noise():
    target = torch.zeros(1, 1, 32, 32)
    valid = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    noise = 0.5 * (-1.0) ** torch.arange(32 * 32 + 32).reshape(1, 1, 32, 33)[..., :32]
    region = torch.full_like(target, 0.5)
    term = AlphaLaplacian()
    assert term(noise, target, valid).item() == pytest.approx(0.5)  # all of it in the finest band
    # a constant has nothing but the coarsest level: 16 of its 1 / 256 cells
    assert term(region, target, valid).item() == pytest.approx(0.5 * 16 / 256)


def test_composite_counts_what_shows_on_some_background():
    """A wrong foreground behind alpha 0 shows; too high an alpha shows on white, unless the color makes up for it."""
    valid = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    rgba = torch.tensor([0.2, 0.3, 0.1, 0.5])[None, :, None, None]
    wrong_alpha = rgba + torch.tensor([0, 0, 0, 0.2])[None, :, None, None]
    assert CompositeL1()(wrong_alpha, rgba, valid).item() == pytest.approx(3 * 0.2 / 2)
    white_grows = rgba + torch.tensor([0.2, 0.2, 0.2, 0.2])[None, :, None, None]
    assert CompositeL1()(white_grows, rgba, valid).item() == pytest.approx(3 * 0.2 / 2)


def test_composite_bounds_the_error_on_any_background():
    prediction, target, valid = problem(4)
    generator = torch.Generator().manual_seed(1)
    loss = 2 * CompositeL1()(prediction, target, valid)
    for _ in range(5):
        background = torch.rand(2, 3, 21, 18, generator=generator, dtype=torch.float64)
        shown, wanted = (x[:, :3] + (1 - x[:, 3:]) * background for x in (prediction, target))
        error = torch.where(valid, (shown - wanted).abs(), 0).sum() / valid.sum()
        assert error < loss


def test_half_precision_is_summed_in_float32():
    prediction, target, valid = problem(1, size=(200, 200), dtype=torch.float16)
    loss = AlphaL1()(prediction, target, valid)
    loss.backward()
    assert loss.dtype == torch.float32 and prediction.grad.dtype == torch.float16
    exact = AlphaL1()(prediction.double(), target.double(), valid)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


def test_levels_that_make_no_sense_are_refused():
    with pytest.raises(SettingError, match=r"AlphaLaplacian: `levels` is 0"):
        AlphaLaplacian(levels=0)


@pytest.mark.parametrize(("logit", "alpha"), [(-12.0, 1.0), (-40.0, 1.0), (40.0, 0.0), (200.0, 0.0)])
def test_cross_entropy_pulls_back_what_is_surely_wrong(logit, alpha):
    """The gradient at the logits is the error over the pixels; that of absolute errors is gone."""
    logits = torch.full((1, 1, 4, 4), logit, requires_grad=True)
    target, valid = torch.full((1, 1, 4, 4), alpha), torch.ones(1, 1, 4, 4, dtype=torch.bool)
    (pull,) = torch.autograd.grad(AlphaCrossEntropy()(logits, target, valid), logits)
    torch.testing.assert_close(pull, torch.full_like(pull, (1 - 2 * alpha) / 16), rtol=1e-3, atol=0)
    (lost,) = torch.autograd.grad(AlphaL1()(logits.sigmoid(), target, valid), logits)
    assert lost.abs().max() < 1e-5
