"""Cameras: projection and back, the camera of a warped image, focal length and shift from points; in float64."""

import math

import numpy as np
import pytest
import torch

from sapiens2_lit.geometry import (
    canonical_focal,
    canonical_scale,
    field_of_view,
    focal_from_field_of_view,
    intrinsics_from_focal,
    pixel_grid,
    project,
    recover_focal,
    rotate_vectors,
    unproject,
    warp_camera,
    warp_intrinsics,
)
from sapiens2_lit.transforms.geometric import compose, mirror, resizing, rotation, scaling, translation

SIZE = (20, 15)
INTRINSICS = torch.tensor([[40.0, 0, 6.3], [0, 44, 10.9], [0, 0, 1]], dtype=torch.float64)[None]


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def affines():
    """Scale (one and two), shift, rotation, flip, and random products of them."""
    single = [
        scaling(1.7, 1.7),
        scaling(0.6, 1.9),
        translation(3, -8),
        rotation(35),
        rotation(-160),
        mirror(SIZE[1]),
        resizing(2, 2),
    ]
    draws = random(6, 6).tolist()
    mixed = [
        compose(
            translation(20 * a - 10, 20 * b),
            rotation(360 * c),
            resizing(0.5 + d, 0.5 + e),
            *([mirror(SIZE[1])] if f > 0.5 else []),
        )
        for a, b, c, d, e, f in draws
    ]
    return [torch.from_numpy(affine)[None] for affine in (*single, *mixed)]


def pixels(batch=1):
    u, v = pixel_grid(SIZE, INTRINSICS)
    return torch.stack([u.expand(SIZE), v.expand(SIZE)])[None].expand(batch, -1, -1, -1)


def moved(affine):
    return rotate_2d(affine[:, :, :2], pixels()) + affine[:, :, 2, None, None]


def rotate_2d(linear, points):
    return torch.einsum("bij,bjhw->bihw", linear, points)


@pytest.mark.parametrize("skew", [0.0, 3.0])
def test_points_project_onto_their_own_pixels(skew):
    intrinsics = INTRINSICS.clone()
    intrinsics[:, 0, 1] = skew
    points = unproject(1 + random(1, 1, *SIZE), intrinsics)
    torch.testing.assert_close(project(points, intrinsics), pixels())
    plain = torch.einsum("bij,bjhw->bihw", intrinsics, points)
    torch.testing.assert_close(plain[:, :2] / plain[:, 2:], pixels())


@pytest.mark.parametrize("affine", affines())
def test_warped_camera_is_the_rq_decomposition(affine):
    warped, turn = warp_intrinsics(INTRINSICS, affine)
    full = torch.cat([affine, torch.tensor([[[0, 0, 1.0]]], dtype=torch.float64)], dim=1)
    torch.testing.assert_close(warped @ turn, full @ INTRINSICS)
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3, dtype=torch.float64)[None])
    assert (warped.diagonal(dim1=1, dim2=2) > 0).all() and (warped.tril(-1) == 0).all()
    assert (warped[:, 2] == torch.tensor([0, 0, 1])).all()
    assert torch.linalg.det(turn).item() == pytest.approx(
        math.copysign(1, torch.linalg.det(affine[:, :, :2]))
    )


@pytest.mark.parametrize("affine", affines())
def test_turned_points_project_onto_warped_pixels(affine):
    points = unproject(1 + random(1, 1, *SIZE), INTRINSICS)
    warped, turn = warp_intrinsics(INTRINSICS, affine)
    torch.testing.assert_close(project(rotate_vectors(points, turn), warped), moved(affine))


def test_cameras_are_warped_one_by_one_in_a_batch():
    affine = torch.cat(affines())
    intrinsics = INTRINSICS.expand(len(affine), 3, 3)
    warped, turn = warp_intrinsics(intrinsics, affine)
    for i in range(len(affine)):
        single = warp_intrinsics(INTRINSICS[0], affine[i])
        torch.testing.assert_close((warped[i], turn[i]), single)
    assert warp_intrinsics(intrinsics.float(), affine.float())[0].dtype == torch.float32


def test_flipping_twice_is_the_identity():
    flip = torch.from_numpy(mirror(SIZE[1]))[None]
    points = unproject(1 + random(1, 1, *SIZE), INTRINSICS)
    once, turn = warp_intrinsics(INTRINSICS, flip)
    mirrored = rotate_vectors(points.flip(-1), turn)
    torch.testing.assert_close(project(mirrored, once), pixels())  # the mirrored map fits the mirrored image
    again, back = warp_intrinsics(once, flip)
    torch.testing.assert_close(again, INTRINSICS)
    torch.testing.assert_close(rotate_vectors(mirrored.flip(-1), back), points)


def test_resizing_moves_the_principal_point_with_the_pixel_centres():
    resized, turn = warp_intrinsics(INTRINSICS, torch.from_numpy(resizing(2, 3))[None])
    assert resized[0, 0, 2].item() == pytest.approx(2 * (6.3 + 0.5) - 0.5)
    assert resized[0, 1, 2].item() == pytest.approx(3 * (10.9 + 0.5) - 0.5)
    torch.testing.assert_close(turn, torch.eye(3, dtype=torch.float64)[None])


def test_a_view_has_the_same_canonical_points_at_every_size():
    assert canonical_focal((1024, 768)) == 768 and canonical_focal((768, 1024)) == 768
    assert canonical_scale(INTRINSICS, (1024, 768)).item() == pytest.approx(768 / 40)
    for factor in (0.25, 0.5, 2):
        resized, _ = warp_intrinsics(INTRINSICS, torch.from_numpy(resizing(factor, factor))[None])
        size = (int(1024 * factor), int(768 * factor))
        torch.testing.assert_close(canonical_scale(resized, size), canonical_scale(INTRINSICS, (1024, 768)))


def test_enlarging_a_person_brings_it_nearer_in_canonical_units():
    """A crop to half the view at one size doubles fx: s halves, and the person seems half as far away."""
    zoomed, _ = warp_intrinsics(INTRINSICS, torch.from_numpy(resizing(2, 2))[None])
    torch.testing.assert_close(canonical_scale(zoomed, SIZE), canonical_scale(INTRINSICS, SIZE) / 2)


@pytest.mark.parametrize("degrees", [20.0, 53.0, 110.0])
def test_field_of_view_and_focal_length_are_one(degrees):
    focal = focal_from_field_of_view(torch.tensor([math.radians(degrees)], dtype=torch.float64), SIZE[1])
    intrinsics = intrinsics_from_focal(focal, SIZE)
    angles = field_of_view(intrinsics, SIZE)
    assert math.degrees(angles[0, 0].item()) == pytest.approx(degrees)
    assert math.tan(angles[0, 1].item() / 2) == pytest.approx(
        math.tan(angles[0, 0].item() / 2) * SIZE[0] / SIZE[1]
    )


def test_field_of_view_is_between_the_borders_whatever_the_principal_point():
    borders = torch.tensor([[-0.5, -0.5], [SIZE[1] - 0.5, SIZE[0] - 0.5]], dtype=torch.float64)
    first, last = (
        torch.atan((border - INTRINSICS[0, :2, 2]) / INTRINSICS[0].diagonal()[:2]) for border in borders
    )
    torch.testing.assert_close(field_of_view(INTRINSICS, SIZE)[0], last - first)


def exact_points(focal, dtype=torch.float64):
    intrinsics = intrinsics_from_focal(torch.tensor(focal, dtype=dtype), SIZE)
    depth = 2 + random(len(focal), 1, *SIZE).to(dtype)
    return unproject(depth, intrinsics), random(len(focal), 1, *SIZE, seed=1) > 0.4


@pytest.mark.parametrize("shift", [False, True])
def test_focal_length_is_recovered_from_an_exact_map(shift):
    focal = [12.5, 40.0, 900.0]
    points, valid = exact_points(focal)
    found, offset = recover_focal(torch.where(valid, points, torch.nan), valid, shift=shift)
    torch.testing.assert_close(found, torch.tensor(focal, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(offset, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-6)


def test_shift_is_recovered_with_the_focal_length_at_any_scale():
    focal = [12.5, 40.0, 900.0]
    points, valid = exact_points(focal)
    lost = points - torch.tensor([0, 0, 1.5], dtype=torch.float64)[:, None, None]
    found, offset = recover_focal(0.1 * lost, valid, shift=True)
    torch.testing.assert_close(found, torch.tensor(focal, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(offset, torch.full((3,), 0.15, dtype=torch.float64), rtol=1e-6, atol=0)


def test_focal_length_about_another_principal_point():
    points = unproject(
        2 + random(1, 1, *SIZE), torch.tensor([[[33.0, 0, 5], [0, 33, 12], [0, 0, 1]]]).double()
    )
    valid = torch.ones(1, 1, *SIZE, dtype=torch.bool)
    found, _ = recover_focal(points, valid, principal=torch.tensor([[5.0, 12.0]], dtype=torch.float64))
    assert found.item() == pytest.approx(33)
    found, _ = recover_focal(points, valid, principal="free")
    assert found.item() == pytest.approx(33)


def test_noise_hardly_biases_the_focal_length():
    intrinsics = intrinsics_from_focal(torch.full((8,), 150.0, dtype=torch.float64), (128, 96))
    points = unproject(2 + random(8, 1, 128, 96), intrinsics)
    noise = 0.1 * torch.randn(points.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for principal in (None, "free"):
        found, _ = recover_focal(
            points + noise, torch.ones(8, 1, 128, 96, dtype=torch.bool), principal=principal
        )
        assert (found / 150 - 1).abs().max() < 0.005


def test_what_points_do_not_determine_is_nan():
    points, valid = exact_points([40.0], torch.float32)
    none = torch.zeros_like(valid)
    head_on = unproject(torch.full((1, 1, *SIZE), 2.3), intrinsics_from_focal(torch.tensor([40.0]), SIZE))
    behind = points * torch.tensor([1, 1, -1])[:, None, None]
    for shown, counted, shift in ((points, none, False), (points, none, True), (head_on, valid, True)):
        focal, offset = recover_focal(shown, counted, shift=shift)
        assert focal.isnan().all() and offset.isnan().all()
    assert recover_focal(behind, valid)[0].isnan().all()
    assert recover_focal(head_on, valid)[0].item() == pytest.approx(40, rel=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_one_camera_in_numpy_is_that_of_torch(seed):
    rng = np.random.default_rng(seed)
    camera = np.array(
        [[rng.uniform(50, 900), rng.uniform(-5, 5), 40], [0, rng.uniform(50, 900), 30], [0, 0, 1]]
    )
    affine = rng.normal(size=(2, 3)) * [[1, 1, 50]]
    found = warp_camera(camera, affine)
    for one, other in zip(
        found, warp_intrinsics(torch.from_numpy(camera), torch.from_numpy(affine)), strict=True
    ):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-12, atol=1e-12)
