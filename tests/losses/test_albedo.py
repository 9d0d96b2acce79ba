"""Losses of albedo: golden values, chromaticity at and beyond the ends of the range, pixels that do not count."""

import pytest
import torch
from helpers import assert_golden_loss, normal

from sapiens2_lit.losses.albedo import AlbedoChromaticity, AlbedoGradient, AlbedoL1

TERMS = [AlbedoL1(), AlbedoGradient(), AlbedoChromaticity(), AlbedoChromaticity(released=True)]
ONE = torch.ones(1, 1, 1, 1, dtype=torch.bool)


def problem():
    shape = (2, 3, 32, 24)
    prediction = normal("albedo.pred", shape).sigmoid().requires_grad_()
    return prediction, normal("albedo.target", shape).sigmoid(), normal("mask", (2, 1, 32, 24)) > -0.5


def color(*rgb):
    return torch.tensor(rgb)[None, :, None, None]


@pytest.mark.parametrize(
    ("term", "name"),
    [
        (AlbedoL1(released=True), "L1Loss"),
        (AlbedoGradient(released=True), "AlbedoGradL1Loss"),
        (AlbedoChromaticity(released=True), "AlbedoChromaticityL1Loss"),
    ],
)
def test_terms_are_golden_in_value_and_gradient(term, name):
    prediction, target, valid = problem()
    assert_golden_loss(f"albedo.{name}", term(prediction, target, valid), prediction)


@pytest.mark.parametrize("term", TERMS)
def test_what_does_not_count_changes_nothing(term):
    prediction, target, valid = problem()
    expected = term(prediction, target, valid)
    loss = term(prediction, torch.where(valid, target, torch.nan), valid)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert prediction.grad.isfinite().all() and not prediction.grad[~valid.expand_as(prediction)].any()


@pytest.mark.parametrize("term", TERMS)
def test_without_valid_pixels_loss_and_gradient_are_zero(term):
    prediction, target, valid = problem()
    loss = term(prediction, target * torch.inf, torch.zeros_like(valid))
    loss.backward()
    assert loss.item() == 0 and torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("released", [False, True])
def test_chromaticity_is_blind_to_brightness(released):
    _, target, valid = problem()
    loss = AlbedoChromaticity(released=released)(0.5 * target, target, valid)
    assert loss.item() < 1e-5
    assert AlbedoChromaticity(released=released)(target.flip(1), target, valid).item() > 0.1


def test_both_chromaticities_are_one_on_ordinary_colors():
    prediction, target, valid = problem()
    ours = AlbedoChromaticity()(prediction, target, valid)
    torch.testing.assert_close(
        ours, AlbedoChromaticity(released=True)(prediction, target, valid), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("start", [(1.2, 1.3, 1.1), (-0.2, -0.3, -0.1), (0.0, 0.0, 0.0)])
def test_chromaticity_teaches_a_prediction_that_left_the_range(start):
    """The released clamp has no gradient out there, and at black one of a million; ours has one of 10 at most."""
    target = color(0.6, 0.3, 0.1)
    ours, theirs = color(*start).requires_grad_(), color(*start).requires_grad_()
    AlbedoChromaticity()(ours, target, ONE).backward()
    AlbedoChromaticity(released=True)(theirs, target, ONE).backward()
    assert 0.1 < ours.grad.norm() <= 10 * 3**0.5
    assert theirs.grad.norm() == 0 or theirs.grad.norm() > 1e5


def test_dark_noise_weighs_less_than_the_same_noise_in_light():
    errors = [
        AlbedoChromaticity()(base + color(0.005, 0.0, -0.005), base, ONE).item()
        for base in (color(0.005, 0.005, 0.005), color(0.05, 0.05, 0.05))
    ]
    released = AlbedoChromaticity(released=True)
    dark = released(color(0.01, 0.005, 0.0), color(0.005, 0.005, 0.005), ONE).item()
    assert errors[0] < 2 * errors[1] and dark > 6 * errors[0]
