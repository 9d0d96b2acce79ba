"""Normals of point maps: planes exactly, spheres nearly, under every warp; silhouettes; frames; in float64."""

import math

import pytest
import torch

from sapiens2_lit.geometry import (
    area_vectors,
    normals_from_points,
    normals_support,
    pixel_rays,
    rotate_vectors,
    swap_frame,
    warp_intrinsics,
)
from sapiens2_lit.transforms.geometric import compose, mirror, resizing, rotation, translation

SIZE = (24, 18)
INTRINSICS = torch.tensor([[40.0, 0, 8.3], [0, 42, 11.9], [0, 0, 1]], dtype=torch.float64)[None]
PLANE = torch.tensor([0.3, -0.5, -0.9], dtype=torch.float64)  # its normal; it passes 2 m in front
FORWARD = ((0, 0), (0, 1), (1, 0))  # rows and columns that a normal looks at
CENTRAL = (*FORWARD, (0, -1), (-1, 0))
EVERYWHERE = torch.ones(1, 1, *SIZE, dtype=torch.bool)
AFFINES = [
    compose(),
    mirror(SIZE[1]),
    rotation(25),
    compose(translation(4, -2), rotation(-70), resizing(1.4, 1.4), mirror(SIZE[1])),
    compose(rotation(10), resizing(0.7, 1.3)),
]


def view(intrinsics):
    """(1, 3, H, W) rays with z = 1."""
    rays = pixel_rays(intrinsics, SIZE)
    return torch.cat([rays, torch.ones_like(rays[:, :1])], dim=1)


def plane(intrinsics, turn):
    """What a camera sees of the plane, turned as the camera is, by intersection with the rays."""
    normal = turn[0] @ PLANE
    rays = view(intrinsics)
    return rays * (2 * PLANE[2] / torch.einsum("c,bchw->bhw", normal, rays))[:, None]


def sphere(intrinsics, turn):
    """A ball of 0.5 m about (0.05, -0.1, 2), its points, outward normals and pixels."""
    centre = turn[0] @ torch.tensor([0.05, -0.1, 2], dtype=torch.float64)
    rays = view(intrinsics)
    square, half = rays.square().sum(1), torch.einsum("c,bchw->bhw", centre, rays)
    root = half.square() - square * (centre.square().sum() - 0.25)
    points = rays * ((half - root.clamp(min=0).sqrt()) / square)[:, None]
    return points, (points - centre[:, None, None]) / 0.5, (root > 0)[:, None]


@pytest.mark.parametrize("difference", ["forward", "central"])
@pytest.mark.parametrize("affine", AFFINES)
def test_normals_of_turned_points_are_the_turned_normals(affine, difference):
    """The warped image sees the same plane, turned by Q: its normals from differences are Q n, mirrored or not."""
    intrinsics, turn = warp_intrinsics(INTRINSICS, torch.from_numpy(affine)[None])
    normals, known = normals_from_points(plane(intrinsics, turn), EVERYWHERE, difference)
    expected = rotate_vectors((PLANE / PLANE.norm())[None, :, None, None].expand(1, 3, *SIZE), turn)
    torch.testing.assert_close(normals, torch.where(known, expected, 0))
    assert known[..., 1:-1, 1:-1].all()


@pytest.mark.parametrize("affine", AFFINES)
def test_normals_of_a_sphere_are_its_radii(affine):
    intrinsics, turn = warp_intrinsics(INTRINSICS, torch.from_numpy(affine)[None])
    points, truth, seen = sphere(intrinsics, turn)
    normals, known = normals_from_points(points, seen, "central")
    head_on = known & (truth[:, 2:] < -0.5)
    assert head_on.sum() > 20
    degrees = torch.rad2deg(torch.acos((normals * truth).sum(1, keepdim=True)[head_on].clamp(-1, 1)))
    assert degrees.mean() < 2.5


def test_normals_face_the_camera():
    points, _, seen = sphere(INTRINSICS, torch.eye(3, dtype=torch.float64)[None])
    normals, known = normals_from_points(points, seen)
    assert ((normals * points).sum(1, keepdim=True)[known] < 0).all()
    flat = torch.stack(
        [*torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="xy"), torch.ones(5, 4)]
    )[None]
    normals, _ = normals_from_points(flat, torch.ones(1, 1, 5, 4, dtype=torch.bool))
    torch.testing.assert_close(normals[0, :, 0, 0], torch.tensor([0.0, 0.0, -1.0]))


def test_central_differences_commute_with_flips():
    points, _, seen = sphere(INTRINSICS, torch.eye(3, dtype=torch.float64)[None])
    flip = torch.tensor([-1, 1, 1], dtype=torch.float64)[:, None, None]
    normals, known = normals_from_points(points, seen, "central")
    mirrored, also = normals_from_points((points * flip).flip(-1), seen.flip(-1), "central")
    assert torch.equal(also, known.flip(-1))
    torch.testing.assert_close(mirrored, (normals * flip).flip(-1))


@pytest.mark.parametrize("difference", ["forward", "central"])
def test_points_that_do_not_count_touch_no_normal(difference):
    points, _, seen = sphere(INTRINSICS, torch.eye(3, dtype=torch.float64)[None])
    expected, where = normals_from_points(points, seen, difference)
    for hole in (torch.nan, torch.inf, 0.0):
        normals, known = normals_from_points(torch.where(seen, points, hole), seen, difference)
        assert torch.equal(known, where) and torch.equal(normals, expected)
    assert not expected[~where.expand_as(expected)].any()


@pytest.mark.parametrize(("difference", "needs"), [("forward", FORWARD), ("central", CENTRAL)])
def test_support_is_what_differences_look_at(difference, needs):
    valid = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0)) > 0.3
    support = normals_support(valid, difference)
    for row in range(9):
        for column in range(8):
            places = [(row + y, column + x) for y, x in needs]
            expected = all(0 <= y < 9 and 0 <= x < 8 and valid[0, 0, y, x] for y, x in places)
            assert support[0, 0, row, column].item() is bool(expected)


def test_coincident_points_have_no_normal():
    normals, known = normals_from_points(torch.ones(1, 3, *SIZE), EVERYWHERE)
    assert not known.any() and not normals.any()


def test_area_vectors_are_as_long_as_the_area():
    flat = torch.stack(
        [*torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="xy"), torch.ones(5, 4)]
    )[None]
    wide = flat * torch.tensor([2.0, 3.0, 1.0])[:, None, None]
    torch.testing.assert_close(area_vectors(wide).norm(dim=1), torch.full((1, 5, 4), 6.0))
    assert area_vectors(wide, "central")[0, :, 2, 2].norm().item() == pytest.approx(24)


def test_frames_swap_back_and_forth():
    normals, _ = normals_from_points(plane(INTRINSICS, torch.eye(3, dtype=torch.float64)[None]), EVERYWHERE)
    opengl = swap_frame(normals)
    assert (opengl[:, 2, :-1, :-1] > 0).all() and torch.equal(swap_frame(opengl), normals)
    assert opengl[0, 1, 0, 0] == -normals[0, 1, 0, 0] and math.isclose(
        opengl[0, 0, 0, 0], normals[0, 0, 0, 0]
    )
