"""Losses of normals: golden values, angles, and pixels that do not count."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_golden_loss, normal

from sapiens2_lit.errors import SettingError
from sapiens2_lit.losses.normal import NormalAngle, NormalCosine, NormalGradient, NormalL1

TERMS = [NormalCosine, NormalL1, NormalGradient, NormalAngle]


def problem():
    shape = (2, 3, 32, 24)
    prediction = normal("normal.pred", shape).requires_grad_()
    target = F.normalize(normal("normal.target", shape), dim=1)
    return prediction, target, normal("mask", (2, 1, 32, 24)) > -0.5


@pytest.mark.parametrize(
    ("term", "name"),
    [
        (NormalCosine, "NormalCosineSimilarityLoss"),
        (NormalL1, "L1Loss"),
        (NormalGradient, "NormalGradL1Loss"),
    ],
)
def test_terms_are_golden_in_value_and_gradient(term, name):
    prediction, target, valid = problem()
    assert_golden_loss(f"normal.{name}", term(released=True)(prediction, target, valid), prediction)


@pytest.mark.parametrize("term", TERMS)
def test_what_does_not_count_changes_nothing(term):
    prediction, target, valid = problem()
    (expected,) = torch.autograd.grad(term()(prediction, target, valid), prediction)
    for hole in (torch.nan, torch.inf, 0.0):
        spoiled = torch.where(valid, target, hole)
        loss = term()(prediction, spoiled, valid)
        (gradient,) = torch.autograd.grad(loss, prediction)
        torch.testing.assert_close(loss, term()(prediction, target, valid))
        torch.testing.assert_close(gradient, expected)
        assert gradient.isfinite().all() and not gradient[~valid.expand_as(gradient)].any()


@pytest.mark.parametrize("term", TERMS)
def test_without_valid_pixels_loss_and_gradient_are_zero(term):
    prediction, target, valid = problem()
    loss = term()(prediction, target * torch.nan, torch.zeros_like(valid))
    loss.backward()
    assert loss.item() == 0 and torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("term", TERMS)
def test_perfect_and_zero_predictions_have_finite_gradients(term):
    _, target, valid = problem()
    for start in (target.clone(), torch.zeros_like(target)):
        prediction = start.requires_grad_()
        term()(prediction, target, valid).backward()
        assert prediction.grad.isfinite().all()
    perfect = term()(target, target, valid)
    assert abs(perfect.item()) < 1e-4 * term().weight


@pytest.mark.parametrize("term", TERMS)
def test_nan_predictions_that_count_are_not_hidden(term):
    prediction, target, valid = problem()
    with torch.no_grad():
        prediction[valid.expand_as(prediction)] = torch.nan
    assert term()(prediction, target, valid).isnan()


@pytest.mark.parametrize("term", TERMS)
def test_autocast_changes_nothing(term):
    prediction, target, valid = problem()
    half = prediction.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = term()(half, target, valid)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, term()(half.float(), target, valid))


@pytest.mark.parametrize("degrees", [0.0, 0.001, 1.0, 45.0, 90.0, 179.0])
@pytest.mark.parametrize("length", [0.3, 1.0, 7.0])
def test_angle_is_the_angle(degrees, length):
    angle = math.radians(degrees)
    target = torch.tensor([0.0, 0.0, -1.0])[None, :, None, None].expand(1, 3, 4, 5)
    direction = torch.tensor([math.sin(angle), 0.0, -math.cos(angle)])
    prediction = (length * direction)[None, :, None, None].expand(1, 3, 4, 5)
    loss = NormalAngle()(prediction, target, torch.ones(1, 1, 4, 5, dtype=torch.bool))
    assert loss.item() == pytest.approx(angle, rel=1e-4, abs=1e-7)


def test_angle_still_teaches_where_the_cosine_has_stopped():
    """At a hundredth of a degree 1 - cos has lost its gradient to the square; the angle's is as large as ever."""
    target = torch.tensor([0.0, 0.0, -1.0])[None, :, None, None]
    valid = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    gradients = []
    for term in (NormalAngle(), NormalCosine(weight=1)):
        prediction = torch.tensor([math.radians(0.01), 0.0, -1.0])[None, :, None, None].requires_grad_()
        term(prediction, target, valid).backward()
        gradients.append(prediction.grad.norm().item())
    assert gradients[0] == pytest.approx(1, rel=1e-3) and gradients[1] < 1e-3


def test_angle_leads_straight_from_zero_to_the_target():
    _, target, valid = problem()
    prediction = torch.zeros_like(target).requires_grad_()
    NormalAngle()(prediction, target, valid).backward()
    cosine = F.cosine_similarity(-prediction.grad, target, eps=1e-30)
    torch.testing.assert_close(cosine[valid[:, 0]], torch.ones(int(valid.sum())))


def test_a_weight_that_makes_no_sense_is_refused():
    with pytest.raises(SettingError, match=r"NormalL1: `weight` is -1"):
        NormalL1(weight=-1)
    with pytest.raises(SettingError, match=r"nan"):
        NormalL1(weight=torch.nan)
