"""Errors of point maps: the released numbers, alignment, surfaces and cameras."""

import numpy as np
import pytest
import torch
from helpers import golden_json, normal

from sapiens2_lit.geometry import intrinsics_from_focal, recover_focal, unproject
from sapiens2_lit.metrics.normal import angle_between
from sapiens2_lit.metrics.pointmap import CameraErrors, PointErrors, SurfaceAngles


def inputs():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 48), indexing="ij")
    target = torch.stack([x, 1.3 * y, 3 - 0.5 * torch.cos(2 * x) * torch.cos(1.5 * y)]).expand(2, 3, 64, 48)
    prediction = target + 0.01 * normal("m.pointmap.p", (2, 3, 64, 48))
    return prediction, target, normal("m.mask", (2, 1, 64, 48)) > -0.5


def measured(metric, *batch):
    metric.update(*batch)
    return {name: value.item() for name, value in metric.compute().items()}


def test_released_numbers():
    expected = golden_json("metrics.json")["pointmap"]
    points = measured(PointErrors(), *inputs())
    angles = measured(SurfaceAngles("sobel", thresholds=(5, 11.25, 22.5, 30)), *inputs())
    ours = {
        "l2_mean": points["l2"],
        **{name: points[name] for name in ("x_mae", "y_mae", "z_mae", "rmse")},
        **{f"within_{cm:02}_cm": points[f"within@{cm}cm"] for cm in (5, 10, 20)},
        "normal_mae": angles["surface_mean_angle"],
        "normal_rmse": angles["surface_rmse_angle"],
        "within_5_0_deg": angles["surface_within@5deg"],
        "within_11_25_deg": angles["surface_within@11.25deg"],
        "within_22_5_deg": angles["surface_within@22.5deg"],
        "within_30_0_deg": angles["surface_within@30deg"],
    }
    assert ours == pytest.approx(expected, abs=1e-4)


def test_surfaces_count_where_a_normal_exists_and_borders_are_no_error():
    """What the released evaluation's border of right angles hides: a perfect prediction is perfect."""
    _, target, valid = inputs()
    released, ours = (measured(SurfaceAngles(how), target, target, valid) for how in ("sobel", "central"))
    assert ours["surface_mean_angle"] == pytest.approx(0, abs=1e-3) and ours["surface_within@5deg"] == 1
    assert released["surface_mean_angle"] > 5


def test_surface_angles_do_not_change_with_a_mirror_or_invalid_points():
    prediction, target, valid = inputs()
    found = measured(SurfaceAngles(), prediction, target, valid)
    mirror = torch.tensor([-1.0, 1, 1]).view(3, 1, 1)
    mirrored = (prediction * mirror).flip(-1), (target * mirror).flip(-1), valid.flip(-1)
    assert measured(SurfaceAngles(), *mirrored) == pytest.approx(found, rel=1e-5)
    assert measured(SurfaceAngles(), prediction, torch.where(valid, target, torch.nan), valid) == found
    assert 0 < found["surface_mean_angle"] < 30


def test_a_turned_plane_is_off_by_the_turn():
    camera = intrinsics_from_focal(torch.tensor([30.0]), (20, 24))
    flat = unproject(torch.full((1, 1, 20, 24), 2.0), camera)
    turned = flat.clone()
    turned[:, 2] += 0.5 * turned[:, 0]
    angle = np.degrees(np.arctan(0.5))
    found = measured(SurfaceAngles(), turned, flat, torch.ones(1, 1, 20, 24, dtype=torch.bool))
    assert found["surface_mean_angle"] == pytest.approx(angle, abs=1e-3)
    normals = torch.tensor([0.5, 0, -1]).view(1, 3, 1, 1), torch.tensor([0.0, 0, -1]).view(1, 3, 1, 1)
    assert angle_between(*normals).item() == pytest.approx(angle, abs=1e-3)


def test_a_shift_is_its_own_error():
    _, target, valid = inputs()
    found = measured(PointErrors(), target + torch.tensor([0.0, 0.03, 0.04]).view(3, 1, 1), target, valid)
    assert (found["l2"], found["rmse"]) == pytest.approx((0.05, 0.05), rel=1e-4)
    assert (found["x_mae"], found["y_mae"], found["z_mae"]) == pytest.approx((0, 0.03, 0.04), rel=1e-4)
    depth, length = target[:, 2:][valid].double(), target.norm(dim=1, keepdim=True)[valid].double()
    assert found["depth_abs_rel"] == pytest.approx((0.04 / depth).mean().item(), rel=1e-4)
    assert found["point_rel"] == pytest.approx((0.05 / length).mean().item(), rel=1e-4)
    assert found["within@10cm"] == found["point_delta1"] == found["depth_delta1"] == 1


def test_alignment_forgives_what_it_says():
    _, target, valid = inputs()
    scaled = target * torch.tensor([0.5, 3]).view(2, 1, 1, 1)
    moved = scaled + torch.tensor([0.1, -0.2, 0.3]).view(3, 1, 1)
    assert measured(PointErrors("scale"), scaled, target, valid)["scale_l2"] < 1e-5
    assert measured(PointErrors("affine"), moved, target, valid)["affine_l2"] < 1e-5
    assert measured(PointErrors("scale"), moved, target, valid)["scale_l2"] > 0.02
    assert measured(PointErrors(), scaled, target, valid)["within@20cm"] == 0


def test_points_behind_the_camera_are_far_off():
    _, target, valid = inputs()
    found = measured(PointErrors(), -target, target, valid)
    assert found["depth_delta1"] == found["point_delta1"] == 0 and found["point_rel"] == pytest.approx(2)


@pytest.mark.parametrize("alignment", ["none", "scale", "affine"])
def test_invalid_points_may_be_anything_and_no_valid_ones_give_no_numbers(alignment):
    prediction, target, valid = inputs()
    found = measured(PointErrors(alignment), prediction, target, valid)
    spoiled = torch.where(valid, target, torch.nan)
    assert measured(PointErrors(alignment), prediction, spoiled, valid) == found
    nothing = measured(PointErrors(alignment), prediction, target, torch.zeros_like(valid))
    assert all(np.isnan(value) for value in nothing.values())


def test_a_camera_is_recovered_from_its_own_points():
    size = (40, 30)
    target = intrinsics_from_focal(torch.tensor([30.0, 60.0]), size)
    depth = 2 + 0.3 * torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
    focal, _ = recover_focal(unproject(depth, target), torch.ones(2, 1, *size, dtype=torch.bool))
    found = measured(CameraErrors(), intrinsics_from_focal(focal, size), target, size)
    assert all(value == pytest.approx(0, abs=1e-3) for value in found.values())


def test_camera_errors_by_hand_and_failures_apart():
    size = (40, 30)
    target = intrinsics_from_focal(torch.tensor([15.0, 15.0]), size)  # 90 degrees across 30 pixels
    prediction = intrinsics_from_focal(torch.tensor([15 * 3**0.5, torch.nan]), size)  # 60 degrees
    found = measured(CameraErrors(), prediction, target, size)
    assert found["fov_x_error"] == pytest.approx(30, abs=1e-3)
    assert found["focal_rel"] == pytest.approx(3**0.5 - 1, abs=1e-5)
    assert found["fov_y_error"] > 20 and found["focal_failed"] == 0.5
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert all(value.isnan() for value in CameraErrors().compute().values())
