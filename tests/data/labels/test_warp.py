"""Fields and cameras through one affine: geometry must stay true, whatever the view."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.data.coco.people import People
from sapiens2_lit.data.datasets.pose import PoseDataset
from sapiens2_lit.data.labels.camera import CameraFolder
from sapiens2_lit.data.labels.depth import DepthFolder, PointmapFolder, UnprojectedFolder
from sapiens2_lit.data.labels.field import ValidFolder
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.labels.warp import fewest_valid, read_rasters, warp_rasters
from sapiens2_lit.geometry import (
    normals_from_points,
    normals_support,
    pixel_grid,
    project,
    rotate_vectors,
    warp_intrinsics,
)
from sapiens2_lit.transforms.geometric import (
    compose,
    invert,
    mirror,
    resizing,
    rotation,
    scaling,
    translation,
)
from sapiens2_lit.transforms.pose import PoseAugmentation
from sapiens2_lit.vocabularies import load_skeleton

SIZE = (90, 110)
K = np.array([[120.0, 0.0, 50.0], [0.0, 110.0, 47.0], [0.0, 0.0, 1.0]])
CENTRE, RADIUS = np.array([0.1, -0.05, 3.0]), 0.9


def sphere(turn: np.ndarray, camera: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals (h, w, 3) of a turned sphere as a camera sees it, NaN elsewhere."""
    v, u = np.mgrid[: size[0], : size[1]].astype(float)
    rays = np.stack([u, v, np.ones(size)], axis=-1) @ np.linalg.inv(camera).T
    centre = turn @ CENTRE
    middle, square = rays @ centre, (rays**2).sum(-1)
    with np.errstate(invalid="ignore"):
        z = (middle - np.sqrt(middle**2 - square * (centre @ centre - RADIUS**2))) / square
    points = rays * z[..., None]
    return points, (points - centre) / RADIUS


def write(root: Path, points: np.ndarray, normals: np.ndarray, camera: np.ndarray) -> None:
    for name in ("pointmaps", "depths", "normals", "cameras"):
        (root / name).mkdir(parents=True, exist_ok=True)
    np.save(root / "pointmaps" / "a.npy", points.astype(np.float32))
    np.savez(root / "depths" / "a.npz", depth=points[..., 2].astype(np.float32))
    np.save(root / "normals" / "a.npy", normals.astype(np.float32))
    (root / "cameras" / "a.json").write_text(
        json.dumps({"intrinsics": camera.tolist(), "height": points.shape[0], "width": points.shape[1]})
    )


def load(root: Path, affine: np.ndarray, size: tuple[int, int], stored: tuple[int, int] = SIZE) -> dict:
    cameras = CameraFolder(root / "cameras")
    rasters = [
        cameras,
        PointmapFolder(root / "pointmaps", cameras),
        DepthFolder(root / "depths"),
        NormalFolder(root / "normals"),
    ]
    labels = read_rasters(rasters, Path("a.jpg"), "a", stored)
    assert fewest_valid(labels, rasters) > 1000
    return warp_rasters(rasters, labels, affine, size)


def random_affine(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A view of the sphere: scale, rotation, shift, and a flip every other time."""
    rng = np.random.default_rng(seed)
    target = (np.array([size[1], size[0]]) - 1) / 2 + rng.uniform(-10, 10, 2)
    affine = compose(
        translation(*target),
        scaling(*[rng.uniform(0.4, 1.6)] * 2),
        rotation(rng.uniform(-180, 180)),
        translation(-54, -45),
    )
    return compose(mirror(size[1]), affine) if seed % 2 else affine


@pytest.mark.parametrize("seed", range(6))
def test_views_show_what_the_turned_camera_would_see(tmp_path, seed):
    """Points project onto their own pixels; points and normals are those of the turned sphere, rendered anew."""
    size = (80, 72)
    affine = random_affine(seed, size)
    write(tmp_path, *sphere(np.eye(3), K, SIZE), K)
    sample = load(tmp_path, affine, size)
    valid, points, normals = sample["valid"], sample["pointmap"], sample["normal"]
    assert valid.sum() > 300

    seen = project(torch.where(valid, points, 1)[None], sample["intrinsics"][None])[0]
    u, v = pixel_grid(size, seen)
    assert ((seen[0] - u).abs()[valid[0]].max()) < 1e-4
    assert ((seen[1] - v).abs()[valid[0]].max()) < 1e-4

    camera, turn = warp_intrinsics(torch.from_numpy(K), torch.from_numpy(affine))
    torch.testing.assert_close(sample["intrinsics"], camera.float())
    wanted_points, wanted_normals = sphere(turn.numpy(), camera.numpy(), size)
    facing = wanted_normals[..., 2] < -0.7  # further out it is steep, and interpolation sees the edge
    both = valid[0].numpy() & facing
    assert both.sum() > 0.7 * valid.sum()
    assert np.abs(points.numpy().transpose(1, 2, 0) - wanted_points)[both].max() < 0.01
    cosines = (normals.numpy().transpose(1, 2, 0) * wanted_normals).sum(-1)[both]
    assert np.degrees(np.arccos(cosines.clip(-1, 1))).max() < 0.6
    torch.testing.assert_close(normals.norm(dim=0), valid[0].float())
    assert torch.equal(sample["depth"], points[2:])


def test_normals_of_the_warped_points_are_the_warped_normals(tmp_path):
    size = (80, 72)
    square = np.array([[120.0, 0, 50], [0, 120.0, 47], [0, 0, 1]])
    write(tmp_path, *sphere(np.eye(3), square, SIZE), square)
    for seed in range(4):
        sample = load(tmp_path, random_affine(seed, size), size)
        valid = sample["valid"][None]
        surface, known = normals_from_points(sample["pointmap"][None], valid, "central")
        inner = normals_support(normals_support(known, "central"), "central")
        facing = inner & (sample["normal"][None, 2:] < -0.5)
        assert facing.sum() > 200
        cosine = (surface * sample["normal"][None]).sum(1, keepdim=True)[facing]
        assert torch.rad2deg(cosine.clamp(-1, 1).acos()).mean() < 1.5


def test_flipping_twice_is_the_identity(tmp_path):
    write(tmp_path / "once", *sphere(np.eye(3), K, SIZE), K)
    flip = mirror(SIZE[1])
    plain = load(tmp_path / "once", np.eye(3)[:2], SIZE)
    once = load(tmp_path / "once", flip, SIZE)
    assert not torch.equal(once["valid"], plain["valid"])
    assert once["normal"][0].sum() == pytest.approx(-float(plain["normal"][0].sum()), abs=1e-2)
    points, normals = (
        np.where(once["valid"].numpy(), once[key].numpy(), np.nan).transpose(1, 2, 0)
        for key in ("pointmap", "normal")
    )
    write(tmp_path / "twice", points, normals, once["intrinsics"].double().numpy())
    twice = load(tmp_path / "twice", flip, SIZE)
    for key, value in plain.items():
        torch.testing.assert_close(twice[key], value, atol=1e-5, rtol=1e-5)


def test_depth_and_camera_give_the_same_points_as_a_point_map(tmp_path):
    write(tmp_path, *sphere(np.eye(3), K, SIZE), K)
    cameras = CameraFolder(tmp_path / "cameras")
    found = []
    for folder in (
        UnprojectedFolder(tmp_path / "depths"),
        PointmapFolder(tmp_path / "pointmaps", cameras),
    ):
        labels = read_rasters([cameras, folder], Path("a.jpg"), "a", SIZE)
        found.append(warp_rasters([cameras, folder], labels, random_affine(3, SIZE), SIZE))
    assert found[0].keys() == found[1].keys() == {"pointmap", "valid", "intrinsics"}
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_normals_turn_exactly_with_the_camera_that_is_known(tmp_path):
    """Stretched pixels: a rotated view turns normals by another angle than its own."""
    stretched = np.diag([200.0, 100.0, 1.0])
    (tmp_path / "normals").mkdir()
    normal = np.array([0.6, 0.0, -0.8], np.float32)
    np.save(tmp_path / "normals" / "a.npy", np.broadcast_to(normal, (40, 40, 3)))
    affine = compose(translation(20, 20), rotation(30), translation(-20, -20))
    folder = NormalFolder(tmp_path / "normals")
    labels = {"normal": folder.read(Path("a.jpg"), "a", (40, 40)), "intrinsics": stretched}
    found = warp_rasters([folder], labels, affine, (40, 40))["normal"][:, 20, 20]
    turn = warp_intrinsics(torch.from_numpy(stretched), torch.from_numpy(affine))[1]
    wanted = rotate_vectors(torch.from_numpy(normal).double()[None, :, None, None], turn[None]).flatten()
    torch.testing.assert_close(found.double(), wanted, atol=1e-6, rtol=0)
    del labels["intrinsics"]
    square = warp_rasters([folder], labels, affine, (40, 40))["normal"][:, 20, 20]
    assert (square - found).abs().max() > 0.05


@pytest.mark.parametrize("frame", ["opencv", "opengl"])
def test_frames_and_codings_give_the_same_normals(tmp_path, frame):
    points, normals = sphere(np.eye(3), K, SIZE)
    sign = np.array([1, -1, -1]) if frame == "opengl" else 1
    stored = np.nan_to_num(normals * sign).astype(np.float32)
    (tmp_path / "normals").mkdir()
    found = {}
    for name, values in {
        "npy": stored, "npz": stored, "half": stored.astype(np.float16),
        "png16": np.rint((stored + 1) / 2 * 65535).astype(np.uint16),
        "png8": np.where(stored.any(-1, keepdims=True), np.rint((stored + 1) / 2 * 255), 0).astype(np.uint8),
    }.items():  # fmt: skip
        for old in (tmp_path / "normals").iterdir():
            old.unlink()
        if name == "npz":
            np.savez_compressed(tmp_path / "normals" / "a.npz", normal=values, other=np.zeros(3))
        elif name.startswith("png"):
            cv2.imwrite(str(tmp_path / "normals" / "a.png"), values[..., ::-1])
        else:
            np.save(tmp_path / "normals" / "a.npy", values)
        folder = NormalFolder(tmp_path / "normals", frame)
        labels = {"normal": folder.read(Path("a.jpg"), "a", SIZE)}
        found[name] = warp_rasters([folder], labels, np.eye(3)[:2], SIZE)
    valid = np.isfinite(points[..., 2])
    for name, sample in found.items():
        np.testing.assert_array_equal(sample["valid"][0].numpy(), valid, err_msg=name)
        tolerance = 0.012 if name == "png8" else 1e-3
        difference = sample["normal"].numpy().transpose(1, 2, 0)[valid] - normals[valid]
        assert np.abs(difference).max() < tolerance, name


def test_valids_and_several_fields_join(tmp_path):
    write(tmp_path, *sphere(np.eye(3), K, SIZE), K)
    (tmp_path / "valids").mkdir()
    mask = np.zeros(SIZE, np.uint8)
    mask[:50] = 255
    Image.fromarray(mask).save(tmp_path / "valids" / "a.png")
    valids = ValidFolder(tmp_path / "valids")
    rasters = [
        DepthFolder(tmp_path / "depths", valids=valids),
        NormalFolder(tmp_path / "normals"),
    ]
    labels = read_rasters(rasters, Path("a.jpg"), "a", SIZE)
    sample = warp_rasters(rasters, labels, np.eye(3)[:2], SIZE)
    assert not sample["valid"][:, 50:].any()
    assert sample["valid"][:, :50].any()
    torch.testing.assert_close(
        valids.warp(mask > 0, resizing(0.5, 0.5), (45, 55)).float().mean(), torch.tensor(25 / 45)
    )


def test_crops_of_people_bring_geometry_along(tmp_path):
    """The pose data's own crops stretch and turn; points of a crop still lie on the rays of its pixels."""
    write(tmp_path, *sphere(np.eye(3), K, SIZE), K)
    (tmp_path / "images").mkdir()
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "images" / "a.png")
    cameras = CameraFolder(tmp_path / "cameras")
    rasters = [cameras, PointmapFolder(tmp_path / "pointmaps", cameras), NormalFolder(tmp_path / "normals")]
    one = np.zeros(1, dtype=np.int64)
    people = People(
        folder=tmp_path / "images",
        file_name=np.array(["a.png"]),
        image_id=one,
        image_size=one.repeat(2)[None],
        image=one,
        box=None,
        score=np.ones(1, dtype=np.float32),
        annotation_id=one - 1,
    )
    augment = PoseAugmentation(rotation_probability=1, photometric=0, dropout=0)
    samples = PoseDataset(
        [people], load_skeleton("coco17"), (64, 48), augment=augment, label_sources=[rasters]
    )
    for epoch in range(4):
        sample = samples[(epoch, 0)]
        valid, seen = sample["valid"][0], project(sample["pointmap"][None], sample["intrinsics"][None])[0]
        u, v = pixel_grid((64, 48), seen)
        assert valid.sum() > 100
        assert torch.maximum((seen[0] - u).abs(), (seen[1] - v).abs())[valid].max() < 1e-3
        torch.testing.assert_close(sample["normal"].norm(dim=0), valid.float())


def test_predictions_can_be_brought_back(tmp_path):
    """The affine of the batch leads from the image to the input: the valid area warps back onto itself."""
    write(tmp_path, *sphere(np.eye(3), K, SIZE), K)
    affine = random_affine(1, SIZE)
    sample = load(tmp_path, affine, SIZE)
    back = invert(affine)
    v, u = np.nonzero(sample["valid"][0].numpy())
    original = np.rint(np.stack([u, v], 1) @ back[:, :2].T + back[:, 2]).astype(int)
    inside = np.isfinite(sphere(np.eye(3), K, SIZE)[0][..., 2])
    assert inside[original[:, 1], original[:, 0]].mean() > 0.97
