"""Losses of point maps: golden values of the released forms, and what the default forms do better."""

import pytest
import torch
from helpers import assert_golden_loss, normal

from sapiens2_lit.errors import SettingError
from sapiens2_lit.geometry import unproject
from sapiens2_lit.heads.pointmap import default_terms
from sapiens2_lit.losses.pointmap import (
    PointAligned,
    PointCentroidL1,
    PointIntrinsics,
    PointL1,
    PointMultiscaleL1,
    PointNormal,
    PointScale,
    PointSiLog,
)
from sapiens2_lit.metrics import SurfaceAngles

RELEASED = [
    (PointL1(released=True), "L1Loss"),
    (PointMultiscaleL1(released=True), "MultiscaleL1Loss"),
    (PointSiLog(released=True), "SiLogLoss_on_z"),
    (PointIntrinsics(released=True), "IntrinsicsConsistency"),
    (PointCentroidL1(released=True), "ShiftInvariantL1"),
    (PointNormal(released=True), "Normal"),
]
DEFAULT = [
    PointL1(),
    PointMultiscaleL1(),
    PointCentroidL1(),
    PointSiLog(),
    PointIntrinsics(),
    PointNormal(),
    PointAligned(),
    PointAligned(shift=False, robust=False),
]
TERMS = [*DEFAULT, *(term for term, _ in RELEASED)]
INTRINSICS = torch.tensor([[[40.0, 0, 12], [0, 42, 16], [0, 0, 1]], [[50, 0, 11], [0, 50, 15], [0, 0, 1]]])


def problem():
    def points(name):
        return 0.3 * normal(name, (2, 3, 32, 24)) + torch.tensor([0, 0, 2.5])[:, None, None]

    prediction = points("pointmap.pred").requires_grad_()
    return prediction, points("pointmap.target"), normal("mask", (2, 1, 32, 24)) > -0.5


def surface(size=(32, 24)):
    """A smooth point map that fits INTRINSICS, with a round mask."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1]), indexing="ij")
    depth = (2.5 - 0.4 * torch.cos(1.5 * x) * torch.cos(y))[None, None].expand(2, 1, *size)
    valid = (x.square() + y.square() < 0.8)[None, None].expand(2, 1, *size)
    return unproject(depth, INTRINSICS), valid


@pytest.mark.parametrize(("term", "name"), RELEASED)
def test_released_terms_are_golden_in_value_and_gradient(term, name):
    prediction, target, valid = problem()
    assert_golden_loss(f"pointmap.{name}", term(prediction, target, valid, INTRINSICS), prediction)


def test_scale_is_golden_in_value_and_gradient():
    target = torch.tensor([1.3, 0.8])
    scale = (1.1 * target + 0.05).requires_grad_()
    assert_golden_loss("pointmap.ScaleL1", PointScale()(scale, target), scale)


@pytest.mark.parametrize("make", [PointL1, PointCentroidL1, PointIntrinsics])
def test_default_terms_equal_the_released_ones_on_ordinary_errors_of_each_image(make):
    released = [
        make(released=True)(*image)
        for image in zip(*(x.split(1) for x in (*problem(), INTRINSICS)), strict=True)
    ]
    torch.testing.assert_close(make()(*problem(), INTRINSICS), torch.stack(released).mean())


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("hole", [torch.nan, torch.inf])
def test_labels_that_do_not_count_may_hold_anything(term, hole):
    noise, target, valid = problem()
    prediction = (target + 0.1 * noise).detach().requires_grad_()
    loss = term(prediction, torch.where(valid, target, hole), valid, INTRINSICS)
    loss.backward()
    assert loss.isfinite() and prediction.grad.isfinite().all() and prediction.grad.norm() > 0
    # the value is that of any other content; the released neighbours are taken as zeros
    expected = term(prediction, torch.where(valid, target, 0), valid, INTRINSICS)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("term", DEFAULT)
def test_nothing_that_does_not_count_plays_a_part(term):
    """Neither the label nor the prediction there: unlike in the released multiscale and normals."""
    prediction, target, valid = problem()
    expected = term(prediction, target, valid, INTRINSICS)
    expected.backward()
    assert not prediction.grad[~valid.expand_as(prediction)].any()
    elsewhere = torch.where(valid, prediction, -7.0), torch.where(valid, target, 3.0)
    torch.testing.assert_close(term(*elsewhere, valid, INTRINSICS), expected)


@pytest.mark.parametrize("term", TERMS)
def test_without_valid_pixels_loss_and_gradient_are_zero(term):
    prediction, target, valid = problem()
    loss = term(prediction, target * torch.nan, torch.zeros_like(valid), INTRINSICS)
    loss.backward()
    assert loss.item() == 0 and torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("term", DEFAULT)
def test_an_exact_prediction_has_no_loss_and_finite_gradients(term):
    target, valid = surface()
    prediction = target.clone().requires_grad_()
    loss = term(prediction, target, valid, INTRINSICS)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=2e-6) and prediction.grad.isfinite().all()


@pytest.mark.parametrize("term", DEFAULT)
@pytest.mark.parametrize("start", [0.0, 1e-4, -1.0, 1e3])
def test_no_prediction_is_beyond_teaching(term, start):
    """All points at one place, nearly so, behind the camera, or far away: a finite loss and a gradient of use."""
    target, valid = surface()
    prediction = (start * (1 + 1e-3 * normal("start", target.shape))).requires_grad_()
    loss = term(prediction, target, valid, INTRINSICS)
    loss.backward()
    assert loss.isfinite() and prediction.grad.isfinite().all()
    # all at one place, points lie on every ray; and without a surface they have no normals: left to the other terms
    silent = isinstance(term, PointNormal) or (isinstance(term, PointIntrinsics) and start == 0)
    assert silent or prediction.grad.norm() > 0


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.25])
def test_default_terms_together_lead_from_a_wall_to_the_surface(noise):
    """Point by point, without a network's smoothness: normals of what is not unfolded yet must not hold it there."""
    target, valid = surface()
    wall = torch.tensor([0.0, 0.0, 3.0])[:, None, None] + noise * normal("rough", target.shape)
    points, terms = wall.requires_grad_(), default_terms(False).values()
    optimizer = torch.optim.Adam([points], lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, 400)
    for _ in range(400):
        optimizer.zero_grad()
        torch.stack([term(points, target, valid, INTRINSICS) for term in terms]).sum().backward()
        optimizer.step()
        schedule.step()
    angles = SurfaceAngles("forward")
    angles.update(points.detach(), target, valid)
    assert angles.compute()["surface_mean_angle"] < 1


def test_outliers_teach_where_the_released_clamp_lets_them_go():
    target, valid = surface()
    far = target + torch.tensor([0.0, 0.0, 100.0])[:, None, None]
    gradients = []
    for released in (False, True):
        prediction = far.clone().requires_grad_()
        PointL1(released=released)(prediction, target, valid, INTRINSICS).backward()
        gradients.append(prediction.grad[:, 2].abs().sum().item())
    near = (target + 0.01).requires_grad_()
    PointL1()(near, target, valid, INTRINSICS).backward()
    assert gradients[1] == 0 and 0 < gradients[0] < 0.2 * near.grad[:, 2].abs().sum().item()


def test_coarse_scales_forgive_noise_and_see_the_shape():
    target, valid = surface((64, 64))
    noise = 0.1 * normal("noise", target.shape)
    term = PointMultiscaleL1(factors=(8,))
    noisy = term(target + noise, target, valid, INTRINSICS) / term(target + 0.1, target, valid, INTRINSICS)
    fine = PointMultiscaleL1(released=True)
    released = fine(target + noise, target, valid, INTRINSICS) / fine(target + 0.1, target, valid, INTRINSICS)
    assert noisy < 0.2 and released > 2 * noisy
    # a shift is the same at every scale
    expected = PointL1(weight=1)(target + 0.1, target, valid, INTRINSICS)
    torch.testing.assert_close(PointMultiscaleL1()(target + 0.1, target, valid, INTRINSICS), expected)


def test_silhouettes_do_not_bend_the_default_normals():
    """Zeros beyond the silhouette, as labels have them, turn the released normals there; ours leave them out."""
    target, valid = surface()
    label = torch.where(valid, target, 0)
    prediction = target  # exact, and smooth beyond the silhouette
    assert PointNormal()(prediction, label, valid, INTRINSICS).item() < 1e-5
    assert PointNormal(released=True)(prediction, label, valid, INTRINSICS).item() > 0.05


def test_normals_see_orientation_not_place():
    target, valid = surface()
    moved = 3 * target + torch.tensor([1.0, -2.0, 4.0])[:, None, None]
    assert PointNormal()(moved, target, valid, INTRINSICS).item() < 1e-4
    flat = target.clone()
    flat[:, 2] = 2.5
    assert PointNormal()(flat, target, valid, INTRINSICS).item() > 0.05


def test_centroid_l1_is_blind_to_place():
    target, valid = surface()
    moved = target + torch.tensor([1.0, -2.0, 4.0])[:, None, None]
    assert PointCentroidL1()(moved, target, valid, INTRINSICS).item() < 1e-5
    assert PointCentroidL1()(1.1 * target, target, valid, INTRINSICS).item() > 0.01


def test_intrinsics_hold_for_every_depth_and_no_other_camera():
    target, valid = surface()
    assert PointIntrinsics()(1.7 * target, target, valid, INTRINSICS).item() < 1e-5
    assert PointIntrinsics()(target, target, valid, INTRINSICS.flip(0)).item() > 0.01


@pytest.mark.parametrize("robust", [False, True])
def test_aligned_points_are_blind_to_scale_and_shift_of_the_label(robust):
    target, valid = surface()
    prediction = target + 0.01 * normal("noise", target.shape)
    term = PointAligned(robust=robust)
    loss = term(prediction, target, valid, INTRINSICS)
    for scale, shift in ((0.2, 3.0), (4.0, 0.0)):
        away = scale * prediction + torch.tensor([0, 0, shift])[:, None, None]
        torch.testing.assert_close(term(away, target, valid, INTRINSICS), loss, rtol=1e-3, atol=1e-6)
    assert term(target + torch.tensor([0.5, 0, 0])[:, None, None], target, valid, INTRINSICS) > 10 * loss


def test_training_turns_a_hollow_face_round():
    """Inside out, z of the wrong sign about its middle: squares alone would fit it with a negative scale and rest."""
    target, valid = surface()
    middle = target[:, 2:].mean()
    prediction = torch.cat([target[:, :2], 2 * middle - target[:, 2:]], dim=1).requires_grad_()
    term = PointAligned(robust=False)
    first = term(prediction, target, valid, INTRINSICS).item()
    for _ in range(60):
        loss = term(prediction, target, valid, INTRINSICS)
        (gradient,) = torch.autograd.grad(loss, prediction)
        with torch.no_grad():
            prediction -= 0.02 * gradient.sign()
    assert loss.item() < 0.2 * first


@pytest.mark.parametrize("term", TERMS)
def test_autocast_changes_nothing(term):
    prediction, target, valid = problem()
    half = prediction.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = term(half, target, valid, INTRINSICS)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, term(half.float(), target, valid, INTRINSICS))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(SettingError, match=r"PointMultiscaleL1: `factors` is \[1\]"):
        PointMultiscaleL1(factors=[1])
    with pytest.raises(SettingError, match=r"PointSiLog: `variance` is 2"):
        PointSiLog(variance=2)
    with pytest.raises(SettingError, match=r"PointScale: `weight` is -1"):
        PointScale(weight=-1)
