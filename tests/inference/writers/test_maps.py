"""What is written is read back by other people's readers, and by this project's as a dataset."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.data.labels.base import MaskFolder
from sapiens2_lit.data.labels.camera import CameraFolder
from sapiens2_lit.data.labels.color import AlbedoFolder
from sapiens2_lit.data.labels.depth import DepthFolder, PointmapFolder
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.readers.arrays import read_array
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import FileWriter
from sapiens2_lit.inference.writers.formats import FormatOptions, build_writer
from sapiens2_lit.vocabularies import load_classes

from .conftest import SIZE, UNKNOWN

PHOTO = Path("sub/photo.jpg")
OPENGL = np.array([1, -1, -1], dtype=np.float32)


def write(
    prediction: Prediction, picture: Frame, out: Path, head: str, key: str, name: str, **options: object
) -> Path:
    writer = build_writer(head, key, name, FormatOptions(**options))
    assert isinstance(writer, FileWriter)
    assert not writer.is_finished(picture.name, out)
    writer.write(prediction, picture, out)
    assert writer.is_finished(picture.name, out)
    path = out / head / (writer.kind or key) / f"sub/photo.{name}"
    assert path.is_file()
    assert [found.name for found in path.parent.iterdir()] == [path.name], "nothing unfinished stays"
    return path


ARRAYS = [
    ("seg", "segmentation"),
    ("normal", "normal"),
    ("depth", "depth"),
    ("points", "pointmap"),
    ("albedo", "albedo"),
    ("matte", "alpha"),
    ("matte", "foreground"),
]


@pytest.mark.parametrize(("head", "key"), ARRAYS)
@pytest.mark.parametrize("name", ["npy", "npz"])
def test_arrays_are_exact(
    prediction: Prediction, frame: Frame, tmp_path: Path, head: str, key: str, name: str
) -> None:
    path = write(prediction, frame, tmp_path, head, key, name)
    expected = prediction.maps[head][key]
    found = np.load(path) if name == "npy" else np.load(path)[key]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(read_array(path, key), expected)
    if (key, name) == ("segmentation", "npz"):
        assert np.load(path)["names"].tolist() == list(load_classes("body29").names)


def test_masks_are_palettes_of_classes(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    path = write(prediction, frame, tmp_path, "seg", "segmentation", "png")
    picture, classes = Image.open(path), load_classes("body29")
    expected = prediction.maps["seg"]["segmentation"]
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), expected)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), classes.palette()[expected])
    folder = MaskFolder(tmp_path / "seg" / "segmentation", classes)
    np.testing.assert_array_equal(folder.read(PHOTO, "sub/photo", SIZE), expected)


@pytest.mark.parametrize("axes", ["opencv", "opengl"])
@pytest.mark.parametrize("name", ["png", "exr", "npy"])
def test_normals_keep_their_direction(
    prediction: Prediction, frame: Frame, tmp_path: Path, axes: str, name: str
) -> None:
    path = write(prediction, frame, tmp_path, "normal", "normal", name, frame=axes)
    expected = prediction.maps["normal"]["normal"]
    turned = expected if axes == "opencv" else expected * OPENGL
    if name == "exr":
        openexr = pytest.importorskip("OpenEXR")
        with openexr.File(str(path)) as file:
            np.testing.assert_array_equal(file.channels()["RGB"].pixels, turned)
        return
    folder = NormalFolder(tmp_path / "normal" / "normal", frame=axes)
    found = folder.read(PHOTO, "sub/photo", SIZE)
    assert not found.valid[:UNKNOWN].any()
    assert found.valid[UNKNOWN:].all()
    off = np.abs(found.values - expected)[UNKNOWN:].max()
    assert off <= (1.01 / 65535 if name == "png" else 0)


def test_png_of_normals_by_hand(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    """OpenCV reads BGR of 16 bits; the reader's formula stands in docs/outputs.md."""
    cv2 = pytest.importorskip("cv2")
    path = write(prediction, frame, tmp_path, "normal", "normal", "png")
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert values.dtype == np.uint16
    assert not values[:UNKNOWN].any()
    normals = values / 65535 * 2 - 1
    expected = prediction.maps["normal"]["normal"][UNKNOWN:]
    cosine = (normals[UNKNOWN:] * expected).sum(axis=2) / np.linalg.norm(normals[UNKNOWN:], axis=2)
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.02


def test_depth_png_is_millimetres(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    path = write(prediction, frame, tmp_path, "depth", "depth", "png")
    values, expected = np.asarray(Image.open(path)), prediction.maps["depth"]["depth"]
    assert values.dtype == np.uint16
    assert not values[:UNKNOWN].any()
    assert np.abs(values[UNKNOWN:] * 0.001 - expected[UNKNOWN:]).max() <= 0.0005001
    found = DepthFolder(tmp_path / "depth" / "depth", unit=0.001).read(PHOTO, "sub/photo", SIZE)
    assert found.valid.sum() == (SIZE[0] - UNKNOWN) * SIZE[1]


def test_relative_depth_png_fills_the_range(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    prediction.maps["relative"]["depth"][10, :2] = 0, 1
    path = write(prediction, frame, tmp_path, "relative", "depth", "png")
    values, expected = np.asarray(Image.open(path)), prediction.maps["relative"]["depth"]
    assert np.abs(values[UNKNOWN:] / 65535 - expected[UNKNOWN:]).max() <= 1.001 / 65535
    assert (values[10, 0], values[10, 1], values[0, 0]) == (1, 65535, 0), "the nearest is not unknown"


def test_what_is_too_far_for_a_png_is_said(
    prediction: Prediction, frame: Frame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prediction.maps["depth"]["depth"][10, 10] = 70
    path = write(prediction, frame, tmp_path, "depth", "depth", "png")
    assert np.asarray(Image.open(path))[10, 10] == 65535
    assert "1 pixels are farther than 65.535 m" in caplog.text
    path = write(prediction, frame, tmp_path / "cm", "depth", "depth", "png", depth_unit=0.01)
    assert np.asarray(Image.open(path))[10, 10] == 7000
    with pytest.raises(SettingError, match="depth_unit is 0"):
        build_writer("depth", "depth", "png", FormatOptions(depth_unit=0))


def test_depth_exr_has_the_channel_z(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR")
    path = write(prediction, frame, tmp_path, "depth", "depth", "exr")
    with openexr.File(str(path)) as file:
        assert list(file.channels()) == ["Z"]
        np.testing.assert_array_equal(file.channels()["Z"].pixels, prediction.maps["depth"]["depth"])
    found = DepthFolder(tmp_path / "depth" / "depth").read(PHOTO, "sub/photo", SIZE)
    np.testing.assert_array_equal(
        found.values[found.valid, 0], prediction.maps["depth"]["depth"][UNKNOWN:].ravel()
    )


def test_albedo_is_srgb(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    path = write(prediction, frame, tmp_path, "albedo", "albedo", "png")
    values, expected = np.asarray(Image.open(path)), prediction.maps["albedo"]["albedo"]
    assert values.shape == (*SIZE, 3)
    assert not values[:UNKNOWN].any()
    assert np.abs(values[UNKNOWN:] / 255 - expected[UNKNOWN:]).max() <= 1.001 / 255
    usual = expected.min(axis=2) > 0
    assert np.abs(values[usual] / 255 - expected[usual]).max() <= 0.501 / 255
    folder = AlbedoFolder(tmp_path / "albedo" / "albedo")
    assert folder.read(PHOTO, "sub/photo", SIZE).valid[UNKNOWN:].all(), "black counts, too"


def test_mattes_are_straight(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    path = write(prediction, frame, tmp_path, "matte", "alpha", "png")
    assert path == tmp_path / "matte" / "matte" / "sub" / "photo.png"
    picture = Image.open(path)
    assert picture.mode == "RGBA"
    values = np.asarray(picture) / 255
    alpha, foreground = (prediction.maps["matte"][key][UNKNOWN:] for key in ("alpha", "foreground"))
    assert not values[:UNKNOWN, :, 3].any()
    assert np.abs(values[UNKNOWN:, :, 3:] - alpha).max() <= 0.501 / 255
    # on any background the cut-out looks as predicted
    for background in (0.0, 0.5, 1.0):
        expected = foreground + (1 - alpha) * background
        found = values[UNKNOWN:, :, :3] * values[UNKNOWN:, :, 3:] + (1 - values[UNKNOWN:, :, 3:]) * background
        assert np.abs(found - expected).max() <= 1.01 / 255
    solid = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    composed = np.asarray(Image.alpha_composite(solid, picture).convert("RGB"))[UNKNOWN:] / 255
    assert np.abs(composed - (foreground + 1 - alpha)).max() <= 2.01 / 255, "as Pillow composes it"


def test_a_matte_without_foreground_takes_the_image(
    prediction: Prediction, frame: Frame, tmp_path: Path
) -> None:
    del prediction.maps["matte"]["foreground"]
    path = write(prediction, frame, tmp_path, "matte", "alpha", "png")
    np.testing.assert_array_equal(np.asarray(Image.open(path))[..., :3], frame.image)


@pytest.mark.parametrize("axes", ["opencv", "opengl"])
def test_points_and_camera_are_a_dataset(
    prediction: Prediction, frame: Frame, tmp_path: Path, axes: str
) -> None:
    write(prediction, frame, tmp_path, "points", "pointmap", "npy", frame=axes)
    camera = write(prediction, frame, tmp_path, "points", "pointmap", "json")
    assert json.loads(camera.read_text())["intrinsics"] == [[40, 0, 15], [0, 40, 11.5], [0, 0, 1]]
    cameras = CameraFolder(tmp_path / "points" / "camera")
    folder = PointmapFolder(tmp_path / "points" / "pointmap", cameras, frame=axes)
    found = folder.read(PHOTO, "sub/photo", SIZE)  # checks that points lie on their pixels' rays
    assert found.valid[UNKNOWN:].all()
    np.testing.assert_array_equal(found.values[UNKNOWN:, :, 0], prediction.maps["points"]["depth"][UNKNOWN:])


def test_an_unknown_focal_length_is_null(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    prediction.focal = float("nan")
    camera = json.loads(write(prediction, frame, tmp_path, "points", "pointmap", "json").read_text())
    assert camera == {"width": 31, "height": 24, "focal": None, "intrinsics": None}


def test_clouds_are_read_by_others(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    plyfile = pytest.importorskip("plyfile")
    trimesh = pytest.importorskip("trimesh")
    path = write(prediction, frame, tmp_path, "points", "pointmap", "ply")
    read = plyfile.PlyData.read(str(path))
    vertices = read["vertex"]
    assert (read.text, read.byte_order) == (False, "<")
    expected = prediction.maps["points"]["pointmap"][UNKNOWN:].reshape(-1, 3)
    np.testing.assert_array_equal(np.stack([vertices[axis] for axis in "xyz"], axis=1), expected)
    colors = np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1)
    np.testing.assert_array_equal(colors, frame.image[UNKNOWN:].reshape(-1, 3))
    cloud = trimesh.load(path)
    np.testing.assert_array_equal(cloud.vertices, expected)
    np.testing.assert_array_equal(cloud.colors[:, :3], frame.image[UNKNOWN:].reshape(-1, 3))
    turned = trimesh.load(
        write(prediction, frame, tmp_path / "gl", "points", "pointmap", "ply", frame="opengl")
    )
    np.testing.assert_array_equal(turned.vertices, expected * OPENGL)


def test_frames_are_checked() -> None:
    with pytest.raises(SettingError, match="--frame is 'blender', expected opencv or opengl"):
        FormatOptions(frame="blender")
