"""Rays against rounded cones and ellipsoids, held against the shapes' definition: the hull of two spheres."""

import numpy as np
import pytest

from sapiens2_lit.synthetic.body.parts import Part, ellipsoid, plain, rounded_cone
from sapiens2_lit.synthetic.render.shapes import Quadrics, hull, intersect, view_boxes

GREY = plain((0.5, 0.5, 0.5), 3)
PARTS = {
    "elliptic cone": rounded_cone((0.1, 0.2, 3), (0.5, -0.3, 3.4), (0.3, 0.1), GREY, stretch=(1.2, 0.7)),
    "towards the camera": rounded_cone((-0.2, 0.1, 3.4), (-0.1, 0.05, 2.2), (0.1, 0.25), GREY),
    "capsule": rounded_cone((-0.1, 0.2, 2), (-0.3, 0.2, 2.1), (0.05, 0.05), GREY),
    "ellipsoid": ellipsoid((-0.3, 0, 2.5), (0.2, 0.3, 0.1), GREY),
}


def excess(part: Part, points: np.ndarray) -> np.ndarray:
    """How far outside (above 0) or inside points lie, in the part's own frame, over a chain of spheres."""
    inverse = np.linalg.inv(part.frame)
    own = points @ inverse[:3, :3].T + inverse[:3, 3]
    steps = np.linspace(0, 1, 200)
    chain = [
        np.linalg.norm(own - (0, part.length * s, 0), axis=1) - ((1 - s) * part.radii[0] + s * part.radii[1])
        for s in steps
    ]
    return np.min(chain, axis=0)


@pytest.fixture
def rays() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 1000))


def cast(part: Part, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    quadrics = Quadrics.of([part])
    found = np.stack([quadrics.depths(np.full(x.shape, index), x, y) for index in range(len(quadrics.part))])
    return found.min(0), found.argmin(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_rays_stop_on_the_surface_and_miss_nothing(name: str, rays: np.ndarray) -> None:
    part, (x, y) = PARTS[name], rays
    depth, _ = cast(part, x, y)
    hit = np.isfinite(depth)
    assert hit.sum() > 5
    directions = np.stack([x, y, np.ones_like(x)], axis=1)
    np.testing.assert_allclose(excess(part, directions[hit] * depth[hit, None]), 0, atol=3e-5)
    before = directions[hit] * (depth[hit] * np.random.default_rng(1).uniform(0.2, 0.999, hit.sum()))[:, None]
    assert excess(part, before).min() > 0, "nothing is hit before"
    along = np.linspace(1.5, 4, 40)
    assert min(excess(part, directions[~hit] * z).min() for z in along) > 0


@pytest.mark.parametrize("name", PARTS)
def test_normals_are_gradients_of_the_distance(name: str, rays: np.ndarray) -> None:
    part, (x, y) = PARTS[name], rays
    depth, quadric = cast(part, x, y)
    hit = np.isfinite(depth)
    points = np.stack([x, y, np.ones_like(x)], axis=1)[hit] * depth[hit, None]
    normals = Quadrics.of([part]).normals(quadric[hit], points)
    step = 1e-5
    gradient = np.stack(
        [(excess(part, points + step * e) - excess(part, points - step * e)) / (2 * step) for e in np.eye(3)],
        axis=1,
    )
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    assert (normals * gradient).sum(1).min() > 0.9999
    assert (normals * points).sum(1).max() < 1e-9, "surfaces that are seen face the camera"


@pytest.mark.parametrize("name", PARTS)
def test_boxes_are_tight(name: str) -> None:
    part = PARTS[name]
    x, y = np.random.default_rng(2).uniform(-0.7, 0.7, (2, 40_000))
    hit = np.isfinite(cast(part, x, y)[0])
    (box,) = hull(view_boxes([part]))
    seen = [x[hit].min(), x[hit].max(), y[hit].min(), y[hit].max()]
    np.testing.assert_allclose(seen, box, atol=0.02)
    assert (np.array([1, -1, 1, -1]) * (seen - box) > 0).all()


def test_rays_from_anywhere_agree_with_rays_from_the_origin(rays: np.ndarray) -> None:
    x, y = rays
    directions = np.stack([x, y, np.ones_like(x)], axis=1)
    for part in PARTS.values():
        depth = cast(part, x, y)[0]
        moved = intersect(part, 0.5 * directions, 2.0 * directions)
        np.testing.assert_allclose(0.5 + 2 * moved, depth, rtol=1e-9)


def test_a_part_around_the_camera_covers_everything() -> None:
    (box,) = hull(view_boxes([ellipsoid((0, 0, 0), (1, 1, 1), GREY)]))
    assert box.tolist() == [-np.inf, np.inf, -np.inf, np.inf]


def test_a_part_behind_the_camera_covers_nothing() -> None:
    (box,) = hull(view_boxes([rounded_cone((0, 0, -3), (1, 0, -2), (0.3, 0.2), GREY)]))
    assert box[0] > box[1]
    assert box[2] > box[3]
