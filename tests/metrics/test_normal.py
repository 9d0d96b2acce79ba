"""Angles of normals: by geometry, by the released numbers, over batches and processes alike."""

import pytest
import torch
import torch.nn.functional as F
from helpers import golden_json, normal

from sapiens2_lit.errors import SettingError
from sapiens2_lit.metrics.normal import NormalAngles, angle_between


def golden_inputs():
    target = F.normalize(normal("m.normal.t", (2, 3, 64, 48)), dim=1)
    return (
        target + 0.3 * normal("m.normal.p", (2, 3, 64, 48)),
        target,
        normal("m.mask", (2, 1, 64, 48)) > -0.5,
    )


def test_released_numbers():
    expected = golden_json("metrics.json")["normal"]
    metric = NormalAngles(thresholds=(5, 11.25, 22.5, 30), bin_width=0.5)
    metric.update(*golden_inputs())
    found = metric.compute()
    assert found["mean_angle"].item() == pytest.approx(expected["normal_mae"], abs=1e-4)
    assert found["median_angle"].item() == pytest.approx(expected["normal_median_deg"], abs=1e-4)
    assert found["rmse_angle"].item() == pytest.approx(expected["normal_rmse"], abs=1e-4)
    for threshold, key in ((5, "5_0"), (11.25, "11_25"), (22.5, "22_5"), (30, "30_0")):
        share = found[f"within@{threshold:g}deg"].item()
        assert 100 * share == pytest.approx(expected[f"within_{key}_deg"], abs=1e-4)


def test_a_known_rotation_is_measured():
    """Normals turned about an axis across them are off by the angle of the turn, whatever their length."""
    for degrees in (1e-3, 1.0, 45.0, 179.0):
        turn = torch.tensor(degrees).deg2rad()
        target = torch.tensor([0.0, 0, -1]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
        prediction = 7 * torch.stack([turn.sin(), torch.tensor(0.0), -turn.cos()]).view(1, 3, 1, 1)
        metric = NormalAngles()
        metric.update(prediction.expand_as(target), target, torch.ones(2, 1, 4, 5, dtype=torch.bool))
        found = metric.compute()
        assert found["mean_angle"].item() == pytest.approx(degrees, rel=1e-4)
        assert found["rmse_angle"].item() == pytest.approx(degrees, rel=1e-4)
        assert found["median_angle"].item() == pytest.approx(degrees, abs=0.026)
        assert found["within@7.5deg"] == (degrees < 7.5)


def test_the_fine_median_is_that_of_all_pixels():
    prediction, target, valid = golden_inputs()
    metric = NormalAngles()
    metric.update(prediction, target, valid)
    exact = angle_between(prediction, target)[valid].median()
    assert metric.compute()["median_angle"].item() == pytest.approx(exact.item(), abs=0.026)


def test_invalid_pixels_may_hold_anything():
    prediction, target, valid = golden_inputs()
    clean, spoiled = NormalAngles(), NormalAngles()
    clean.update(prediction, target, valid)
    spoiled.update(prediction, torch.where(valid, target, torch.nan), valid)
    assert spoiled.compute() == clean.compute()


def test_no_direction_is_a_right_angle_and_no_number_is_no_number():
    target = torch.tensor([0.0, 0, -1]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    valid = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    zeros, broken = NormalAngles(), NormalAngles()
    zeros.update(torch.zeros_like(target), target, valid)
    assert zeros.compute()["mean_angle"] == 90 and zeros.compute()["within@30deg"] == 0
    broken.update(torch.where(torch.eye(2, dtype=torch.bool), torch.nan, target), target, valid)
    found = broken.compute()
    assert found["mean_angle"].isnan() and found["median_angle"].isnan()
    assert found["within@5deg"] == 0.5


def test_nothing_valid_is_not_a_number():
    metric = NormalAngles()
    prediction, target, valid = golden_inputs()
    metric.update(prediction, target, torch.zeros_like(valid))
    assert all(value.isnan() for value in metric.compute().values())


def test_bins_must_have_a_width():
    with pytest.raises(SettingError, match="bin_width"):
        NormalAngles(bin_width=0)
