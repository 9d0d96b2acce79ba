"""Albedo errors: the released numbers, torchmetrics' similarity, and what a mask and a factor must not change."""

import numpy as np
import pytest
import torch
from helpers import golden_json, normal
from torchmetrics.functional.image import structural_similarity_index_measure

from sapiens2_lit.metrics.albedo import AlbedoErrors
from sapiens2_lit.metrics.ssim import masked_ssim


def inputs():
    target = normal("m.albedo.t", (2, 3, 64, 48)).sigmoid()
    prediction = (target + 0.05 * normal("m.albedo.p", (2, 3, 64, 48))).clamp(0, 1)
    return prediction, target, normal("m.mask", (2, 1, 64, 48)) > -0.5


def errors(prediction, target, valid):
    metric = AlbedoErrors()
    metric.update(prediction, target, valid)
    return {name: value.item() for name, value in metric.compute().items()}


def test_released_numbers():
    expected = golden_json("metrics.json")["albedo"]
    found = errors(*inputs())
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5), name


def test_similarity_is_the_usual_one_inside_a_full_mask():
    prediction, target, _ = inputs()
    similarity, counts = masked_ssim(prediction, target, torch.ones(2, 1, 64, 48, dtype=torch.bool))
    _, usual = structural_similarity_index_measure(prediction, target, data_range=1.0, return_full_image=True)
    inside = (..., slice(5, -5), slice(5, -5))
    torch.testing.assert_close(similarity[inside], usual[inside], atol=1e-5, rtol=0)
    assert counts[..., 5:-5, 5:-5].all() and not counts[..., 0, 0].any()


def test_invalid_pixels_may_hold_anything():
    prediction, target, valid = inputs()
    spoiled = errors(prediction, torch.where(valid, target, torch.nan), valid)
    assert spoiled == errors(prediction, target, valid)
    elsewhere = torch.where(valid, prediction, 0.5)
    assert errors(elsewhere, target, valid) == pytest.approx(spoiled)


def test_a_perfect_prediction():
    _, target, valid = inputs()
    found = errors(target, target, valid)
    assert found["ssim"] == pytest.approx(1) and found["psnr"] == float("inf")
    assert all(
        found[name] == pytest.approx(0, abs=1e-6) for name in ("mae", "rmse", "grad_l1", "si_mae", "si_rmse")
    )


def test_one_factor_an_image_is_forgiven_by_scale_invariance_alone():
    _, target, valid = inputs()
    found = errors(target * torch.tensor([0.5, 0.8]).view(2, 1, 1, 1), target, valid)
    assert found["si_rmse"] == pytest.approx(0, abs=1e-6) and found["rmse"] > 0.1
    prediction = inputs()[0]
    assert errors(prediction, target, valid)["si_rmse"] <= errors(prediction, target, valid)["rmse"]


def test_a_black_prediction_has_no_factor_and_the_whole_error():
    _, target, valid = inputs()
    found = errors(torch.zeros_like(target), target, valid)
    assert found["si_mae"] == found["mae"] == pytest.approx(target[valid.expand_as(target)].mean().item())


def test_nothing_valid_is_not_a_number():
    prediction, target, valid = inputs()
    assert all(np.isnan(value) for value in errors(prediction, target, torch.zeros_like(valid)).values())
