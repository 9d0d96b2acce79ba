"""A rendered sphere in every frame: its analytic normals and points come out in the camera's frame."""

import json
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.data.labels.camera import CameraFile, CameraFolder, FieldOfView
from sapiens2_lit.data.labels.depth import PointmapFolder
from sapiens2_lit.data.labels.frames import FRAMES, is_world
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.errors import DataError, SettingError

SIZE = (40, 56)
K = np.array([[60.0, 0, 27.5], [0, 60.0, 19.5], [0, 0, 1]])
CENTER, RADIUS = np.array([0.1, -0.05, 3.0]), 0.8  # in OpenCV's camera, metres
IMAGE = Path("images/0001.jpg")
# Of each world, by hand: the camera's right, down and forward in it, where the camera stands, and metres of a unit.
# Each looks level along one of the world's axes; z is up but for COLMAP's world, where it is y that leads down.
WORLDS = {
    "blender": ([1, 0, 0], [0, 0, -1], [0, 1, 0], [0.5, -2.0, 1.6], 1.0),  # looks along +y, right-handed
    "nerf": ([1, 0, 0], [0, 0, -1], [0, 1, 0], [0.5, -2.0, 1.6], 1.0),
    "unreal": ([0, 1, 0], [0, 0, -1], [1, 0, 0], [-150.0, 30.0, 160.0], 0.01),  # looks along +x, left-handed
    "colmap": ([0, 0, -1], [0, 1, 0], [1, 0, 0], [2.0, 0.3, -0.7], 1.0),  # looks along +x, y down
}
CAMERAS = {  # right, down and forward of each camera's frame, in its own axes
    "opencv": ([1, 0, 0], [0, 1, 0], [0, 0, 1]),
    "opengl": ([1, 0, 0], [0, -1, 0], [0, 0, -1]),
    "directx": ([1, 0, 0], [0, -1, 0], [0, 0, 1]),
    "directx_normals": ([1, 0, 0], [0, 1, 0], [0, 0, -1]),
    "pytorch3d": ([-1, 0, 0], [0, -1, 0], [0, 0, 1]),
}
# What a world's camera calls x, y and z, by right, down and forward: rows of the matrix from camera to world.
LOCAL = {
    "blender": lambda right, down, forward: (right, -down, -forward),
    "nerf": lambda right, down, forward: (right, -down, -forward),
    "unreal": lambda right, down, forward: (forward, right, -down),
    "colmap": lambda right, down, forward: (right, down, forward),
}


def sphere() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normals and points (h, w, 3) in OpenCV's camera, 0 beside the sphere, and where it is."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(K).T
    a, b, c = (rays**2).sum(-1), rays @ CENTER, CENTER @ CENTER - RADIUS**2
    root = b**2 - a * c
    hit = root > 1e-9
    points = rays * ((b - np.sqrt(np.where(hit, root, 0))) / a)[..., None] * hit[..., None]
    return (points - CENTER) / RADIUS * hit[..., None], points, hit


def in_frame(frame: str) -> tuple[np.ndarray, np.ndarray]:
    """The sphere's normals and points in a frame's own axes and units."""
    normals, points, hit = sphere()
    if not is_world(frame):
        axes = np.array(CAMERAS[frame], dtype=float)
        return normals @ axes, points @ axes
    right, down, forward, position, unit = WORLDS[frame]
    axes = np.array([right, down, forward], dtype=float)
    return normals @ axes, (points / unit @ axes + position) * hit[..., None]


def extrinsics(frame: str) -> np.ndarray:
    right, down, forward, position, _ = WORLDS[frame]
    columns = LOCAL[frame](*(np.array(one, dtype=float) for one in (right, down, forward)))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(columns, axis=1), position
    return np.linalg.inv(matrix) if frame == "colmap" else matrix


def cameras(root: Path, frame: str, **other: object) -> CameraFolder:
    (root / "cameras").mkdir(exist_ok=True)
    content = {"intrinsics": K.tolist()} | (
        {"extrinsics": extrinsics(frame).tolist()} if is_world(frame) else {}
    )
    (root / "cameras" / "0001.json").write_text(json.dumps(content | other))
    return CameraFolder(root / "cameras")


def save(root: Path, normals: np.ndarray, points: np.ndarray) -> None:
    for name, values in (("normals", normals), ("pointmaps", points)):
        (root / name).mkdir(exist_ok=True)
        np.save(root / name / "0001.npy", values.astype(np.float32))


@pytest.mark.parametrize("frame", FRAMES)
def test_a_sphere_comes_out_in_the_cameras_frame(frame, tmp_path):
    normals, points, hit = sphere()
    save(tmp_path, *in_frame(frame))
    source = cameras(tmp_path, frame)
    found = NormalFolder(tmp_path / "normals", frame, cameras=source).read(IMAGE, "0001", SIZE)
    np.testing.assert_array_equal(found.valid, hit)
    np.testing.assert_allclose(found.values[hit], normals[hit], atol=1e-5)
    depth = PointmapFolder(tmp_path / "pointmaps", source, frame).read(IMAGE, "0001", SIZE)
    np.testing.assert_array_equal(depth.valid, hit)
    np.testing.assert_allclose(depth.values[hit][:, 0], points[hit][:, 2], atol=1e-4)


@pytest.mark.parametrize("frame", FRAMES)
def test_no_other_frame_fits_in_silence(frame, tmp_path):
    save(tmp_path, *in_frame(frame))
    for other in FRAMES:
        if is_world(other) or other == frame:
            continue
        with pytest.raises(DataError, match=r"behind the camera|pixels off|meters of one unit"):
            PointmapFolder(tmp_path / "pointmaps", cameras(tmp_path, frame), other).read(IMAGE, "0001", SIZE)


def test_normals_of_a_world_in_integers_turn_as_floats_do(tmp_path):
    import cv2

    normals, _, hit = sphere()
    own, _ = in_frame("blender")
    values = np.where(hit[..., None], np.rint((own + 1) / 2 * 65535), 0).astype(np.uint16)
    (tmp_path / "normals").mkdir()
    cv2.imwrite(str(tmp_path / "normals" / "0001.png"), values[..., ::-1])
    folder = NormalFolder(tmp_path / "normals", "blender", cameras=cameras(tmp_path, "blender"))
    found = folder.read(IMAGE, "0001", SIZE)
    np.testing.assert_array_equal(found.valid, hit)
    np.testing.assert_allclose(found.values[hit], normals[hit], atol=1e-4)


def test_one_transforms_json_serves_all_images(tmp_path):
    _, points, hit = sphere()
    save(tmp_path, *in_frame("nerf"))
    frames = [{"file_path": "./images/0000", "transform_matrix": np.eye(4).tolist()}]
    frames += [{"file_path": "./images/0001", "transform_matrix": extrinsics("nerf").tolist()}]
    lens = {"fl_x": 60.0, "cx": 28.0, "cy": 20.0, "w": 56.0, "h": 40.0}
    (tmp_path / "transforms.json").write_text(json.dumps(lens | {"frames": frames}))
    source = CameraFile(tmp_path / "transforms.json")
    np.testing.assert_allclose(source.read(IMAGE, "0001", SIZE), K)
    depth = PointmapFolder(tmp_path / "pointmaps", source, "nerf").read(IMAGE, "0001", SIZE)
    np.testing.assert_allclose(depth.values[hit][:, 0], points[hit][:, 2], atol=1e-4)
    with pytest.raises(DataError, match=r"none of its 2 `frames` .*0002.jpg"):
        source.read(Path("images/0002.jpg"), "0002", SIZE)


def test_a_matrix_may_say_which_way_it_leads(tmp_path):
    normals, _, hit = sphere()
    save(tmp_path, *in_frame("blender"))
    inverse = np.linalg.inv(extrinsics("blender")).tolist()
    (tmp_path / "cameras").mkdir()
    (tmp_path / "cameras" / "0001.json").write_text(json.dumps({"world_to_camera": inverse}))
    source = CameraFolder(tmp_path / "cameras")
    found = NormalFolder(tmp_path / "normals", "blender", cameras=source).read(IMAGE, "0001", SIZE)
    np.testing.assert_allclose(found.values[hit], normals[hit], atol=1e-5)


def test_quaternions_of_colmap_are_rotations(tmp_path):
    matrix = extrinsics("colmap")
    half = np.sqrt(0.5)  # a quarter turn about y
    quarter = {"qvec": [half, 0, -half, 0], "tvec": matrix[:3, 3].tolist(), "intrinsics": K.tolist()}
    by_matrix = cameras(tmp_path, "colmap").pose(IMAGE, "0001", "colmap")
    (tmp_path / "cameras" / "0001.json").write_text(json.dumps(quarter))
    by_quaternion = CameraFolder(tmp_path / "cameras").pose(IMAGE, "0001", "colmap")
    np.testing.assert_allclose(by_quaternion.rotation, by_matrix.rotation, atol=1e-12)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: m * [[2], [2], [2], [1]], r"no rotation: .* lengths 2, 2, 2: .*scaled"),
        (lambda m: m + np.eye(4, k=1) * [[0.2], [0], [0], [0]], "no rotation: its rows"),
        (lambda m: m * [[1], [-1], [1], [1]], "mirrors"),
        (lambda m: m.T, "last row .* transposed"),
        (lambda m: m[:3, :3], "3 x 4 or 4 x 4"),
        (lambda m: m * np.nan, "finite"),
    ],
)  # fmt: skip
def test_extrinsics_that_are_no_rotation_are_refused(change, message, tmp_path):
    save(tmp_path, *in_frame("blender"))
    source = cameras(tmp_path, "blender", extrinsics=np.asarray(change(extrinsics("blender"))).tolist())
    with pytest.raises(DataError, match=f"0001.json: .*{message}"):
        NormalFolder(tmp_path / "normals", "blender", cameras=source).read(IMAGE, "0001", SIZE)


def test_worlds_need_extrinsics_and_frames_need_a_name(tmp_path):
    save(tmp_path, *in_frame("blender"))
    for source in (None, FieldOfView(50)):
        with pytest.raises(SettingError, match=r"'blender', the world of Blender.*data\.cameras"):
            NormalFolder(tmp_path / "normals", "blender", cameras=source)
    source = cameras(tmp_path, "opencv")
    with pytest.raises(DataError, match=r"0001.json: .*found none.*`extrinsics`, .* camera_to_world"):
        NormalFolder(tmp_path / "normals", "blender", cameras=source).read(IMAGE, "0001", SIZE)
    with pytest.raises(SettingError, match=r"'maya', expected one of opencv .*; unreal"):
        NormalFolder(tmp_path / "normals", "maya")


@pytest.mark.parametrize(
    "entry",
    [
        {"intrinsics": [[60 / 56, 0, 0.5], [0, 60 / 40, 0.5], [0, 0, 1]], "normalized": True},
        {"field_of_view": np.degrees(2 * np.arctan(28 / 60))},
        {"camera_angle_x": 2 * np.arctan(28 / 60)},
        {"fl_x": 60, "fl_y": 60, "cx": 28, "cy": 20},
    ],
)
def test_ways_to_write_intrinsics_are_one_camera(entry, tmp_path):
    (tmp_path / "camera.json").write_text(json.dumps(entry))
    found = CameraFile(tmp_path / "camera.json").read(IMAGE, "0001", SIZE)
    np.testing.assert_allclose(found, K, atol=1e-9)


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"intrinsics": K.tolist(), "normalized": True}, "they are pixels; leave `normalized` out"),
        ({"intrinsics": K.tolist(), "normalized": "yes"}, "`normalized` is 'yes', expected true or false"),
        ({"field_of_view": 200}, "`field_of_view` .* below 180"),
        ({"fl_x": "60"}, "`fl_x` is '60', expected a finite number"),
        ({"frames": {}}, "`frames` is no list"),
    ],
)
def test_intrinsics_that_mean_nothing_are_refused(entry, message, tmp_path):
    (tmp_path / "camera.json").write_text(json.dumps(entry))
    with pytest.raises(DataError, match=f"camera.json: .*{message}"):
        CameraFile(tmp_path / "camera.json").read(IMAGE, "0001", SIZE)
