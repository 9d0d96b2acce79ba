"""Depth errors: against their definitions in numpy, and what alignment and masks must not change."""

import numpy as np
import pytest
import torch

from sapiens2_lit.errors import SettingError
from sapiens2_lit.metrics.depth import DepthErrors


def inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = 1 + 4 * torch.rand(3, 1, 20, 30, generator=generator)
    prediction = target * (1 + 0.3 * torch.randn(3, 1, 20, 30, generator=generator)).clamp(min=0.1)
    valid = torch.rand(3, 1, 20, 30, generator=generator) > 0.4
    return prediction, target, valid


def errors(prediction, target, valid, alignment="none"):
    metric = DepthErrors(alignment)
    metric.update(prediction, target, valid)
    return {name: value.item() for name, value in metric.compute().items()}


def test_agrees_with_the_definitions():
    prediction, target, valid = inputs()
    p, t = (values[valid].double().numpy() for values in (prediction, target))
    ratio = np.maximum(p / t, t / p)
    logs = [(prediction[i][valid[i]].double() / target[i][valid[i]]).log().numpy() for i in range(3)]
    expected = {
        "mae": np.abs(p - t).mean(),
        "rmse": np.sqrt(((p - t) ** 2).mean()),
        "abs_rel": (np.abs(p - t) / t).mean(),
        "rmse_log": np.sqrt((np.log(p / t) ** 2).mean()),
        "silog": np.mean([log.std() for log in logs]),
        "delta1": (ratio < 1.25).mean(),
        "delta2": (ratio < 1.25**2).mean(),
        "delta3": (ratio < 1.25**3).mean(),
        "below_min": 0,
    }
    assert errors(prediction, target, valid) == pytest.approx(expected, rel=1e-5)


def test_alignment_forgives_a_scale_and_a_shift_of_each_sample():
    _, target, valid = inputs()
    factor, shift = torch.tensor([0.5, 2, 9]).view(3, 1, 1, 1), torch.tensor([3.0, -1, 0]).view(3, 1, 1, 1)
    scaled = errors(factor * target, target, valid, "scale")
    assert scaled["scale_abs_rel"] == pytest.approx(0, abs=1e-6) and scaled["scale_delta1"] == 1
    moved = errors(factor * target + shift, target, valid, "affine")
    assert moved["affine_rmse"] == pytest.approx(0, abs=1e-5) and moved["affine_delta1"] == 1
    assert errors(factor * target + shift, target, valid, "scale")["scale_rmse"] > 0.01


def test_scale_invariant_log_error_ignores_the_scale():
    prediction, target, valid = inputs()
    found, larger = errors(prediction, target, valid), errors(7 * prediction, target, valid)
    assert larger["silog"] == pytest.approx(found["silog"], rel=1e-5)
    assert larger["rmse_log"] > 2 * found["rmse_log"]


def test_a_constant_aligns_to_the_mean_of_each_sample():
    _, target, valid = inputs()
    found = errors(torch.full_like(target, 2.0), target, valid, "affine")
    spread = [target[i][valid[i]].double().var(correction=0) * valid[i].sum() for i in range(3)]
    assert found["affine_rmse"] == pytest.approx((sum(spread) / valid.sum()).sqrt().item(), rel=1e-5)
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("alignment", ["none", "scale", "affine"])
def test_invalid_pixels_may_hold_anything(alignment):
    prediction, target, valid = inputs()
    found = errors(prediction, target, valid, alignment)
    for anything in (torch.nan, torch.inf, -1.0):
        assert errors(prediction, torch.where(valid, target, anything), valid, alignment) == found


def test_predictions_that_are_no_depth_are_counted():
    _, target, valid = inputs()
    prediction = target.clone()
    prediction[0] = -1.0
    found = errors(prediction, target, valid)
    assert found["below_min"] == pytest.approx((valid[0].sum() / valid.sum()).item())
    assert np.isfinite(found["rmse_log"]) and found["delta3"] == pytest.approx(1 - found["below_min"])
    prediction[0] = torch.nan
    assert np.isnan(errors(prediction, target, valid)["rmse"])


def test_labels_of_zero_have_no_ratio():
    """Relative depth starts at 0."""
    prediction, target, valid = inputs()
    target[:, :, :2] = 0
    found = errors(prediction, target, valid)
    without = errors(prediction[:, :, 2:], target[:, :, 2:], valid[:, :, 2:])
    for name in ("abs_rel", "rmse_log", "silog", "delta1"):
        assert found[name] == pytest.approx(without[name])
    assert found["rmse"] > without["rmse"]


def test_nothing_valid_is_not_a_number():
    prediction, target, valid = inputs()
    for alignment in ("none", "scale", "affine"):
        found = errors(prediction, target, torch.zeros_like(valid), alignment)
        assert all(np.isnan(value) for value in found.values())


def test_the_least_depth_is_above_zero():
    with pytest.raises(SettingError, match="min_depth"):
        DepthErrors(min_depth=0)
