"""Meshes of point maps, read back by trimesh."""

import io
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.mesh import MeshGlb, grid_step, triangulate

from .conftest import SIZE, UNKNOWN, plane_points

trimesh = pytest.importorskip("trimesh")


def read(data: bytes) -> "trimesh.Trimesh":
    scene = trimesh.load(io.BytesIO(data), file_type="glb", process=False)
    (mesh,) = scene.geometry.values()
    return mesh


def test_a_surface_is_meshed_whole(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    MeshGlb("points", "pointmap").write(prediction, frame, tmp_path)
    mesh = read((tmp_path / "points" / "pointmap" / "sub" / "photo.glb").read_bytes())
    rows, columns = SIZE[0] - UNKNOWN, SIZE[1]
    assert len(mesh.faces) == 2 * (rows - 1) * (columns - 1)
    expected = prediction.maps["points"]["pointmap"][UNKNOWN:].reshape(-1, 3) * [1, -1, -1]
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-6)
    assert (mesh.face_normals[:, 2] > 0).all(), "fronts face the camera"


def test_texture_shows_each_vertex_its_own_pixel(prediction: Prediction, tmp_path: Path) -> None:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    image = np.stack([u * 8, v * 10, np.full(SIZE, 128)], axis=2).astype(np.uint8)  # smooth: jpeg keeps it
    data = MeshGlb("points", "pointmap").encode(prediction, Frame(image, "a"))
    mesh = read(data)
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB")).astype(int)
    assert texture.shape == (*SIZE, 3)
    # trimesh counts v from below
    x = np.rint(mesh.visual.uv[:, 0] * SIZE[1] - 0.5).astype(int)
    y = np.rint((1 - mesh.visual.uv[:, 1]) * SIZE[0] - 0.5).astype(int)
    np.testing.assert_array_equal(y * SIZE[1] + x, np.arange(UNKNOWN * SIZE[1], SIZE[0] * SIZE[1]))
    assert np.abs(texture[y, x] - image[y, x]).max() < 12


def test_depth_jumps_are_cut() -> None:
    depth = np.full(SIZE, 2.0)
    depth[:, 10:] = 3.0
    triangles, used = triangulate(plane_points(depth, 40.0), jump=0.03)
    z = depth.ravel()[used][triangles]
    assert (z.min(axis=1) == z.max(axis=1)).all()
    assert len(triangles) == 2 * (SIZE[0] - 1) * (SIZE[1] - 2)
    slanted = plane_points(np.linspace(2, 3, SIZE[1])[None].repeat(SIZE[0], axis=0), 40.0)
    assert len(triangulate(slanted, jump=0.03)[0]) == 2 * (SIZE[0] - 1) * (SIZE[1] - 1)


def test_what_is_behind_the_camera_or_unknown_is_left_out() -> None:
    depth = np.full(SIZE, 2.0)
    depth[4, 4], depth[8, 8] = -2.0, np.nan
    triangles, used = triangulate(plane_points(depth, 40.0), jump=0.03)
    assert (depth.ravel()[used] == 2).all()
    assert len(triangles) == 2 * (SIZE[0] - 1) * (SIZE[1] - 1) - 12
    assert triangles.max() == len(used) - 1


def test_nothing_known_is_an_empty_scene(prediction: Prediction, frame: Frame) -> None:
    prediction.maps["points"]["pointmap"][:] = np.nan
    scene = trimesh.load(io.BytesIO(MeshGlb("points", "pointmap").encode(prediction, frame)), file_type="glb")
    assert not scene.geometry


@pytest.mark.parametrize(
    ("size", "step"), [((1024, 768), 1), ((1000, 1000), 1), ((1001, 1000), 2), ((4000, 3000), 4)]
)
def test_large_images_get_a_coarser_grid(size: tuple[int, int], step: int) -> None:
    assert grid_step(*size) == step


def test_a_coarse_grid_keeps_texture_coordinates(
    monkeypatch: pytest.MonkeyPatch, prediction: Prediction, frame: Frame
) -> None:
    monkeypatch.setattr("sapiens2_lit.inference.writers.mesh.MOST_VERTICES", 200)
    mesh = read(MeshGlb("points", "pointmap").encode(prediction, frame))
    x = mesh.visual.uv[:, 0] * SIZE[1] - 0.5
    y = (1 - mesh.visual.uv[:, 1]) * SIZE[0] - 0.5
    points = prediction.maps["points"]["pointmap"][np.rint(y).astype(int), np.rint(x).astype(int)]
    np.testing.assert_allclose(mesh.vertices, points * [1, -1, -1], atol=1e-6)
    assert set(np.rint(x).astype(int) % 2) == {0}
