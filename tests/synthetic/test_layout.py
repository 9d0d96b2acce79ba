"""What is written of a frame is what is read back, as finely as each format allows."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.labels.camera import read_camera
from sapiens2_lit.errors import DataError
from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.synthetic.dataset.layout import FOLDERS, TASKS, encoded, folders_of, meanings, split_of

SIZE = (64, 48)


@pytest.fixture(scope="module")
def frame() -> Frame:
    return generate(0, 0, SIZE)


def png(data: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return pixels if pixels.ndim == 2 else pixels[..., ::-1]


def test_classes_validity_and_points_are_exact(frame: Frame) -> None:
    np.testing.assert_array_equal(png(FOLDERS["masks"].encode(frame)), frame.segmentation)
    np.testing.assert_array_equal(png(FOLDERS["valids"].encode(frame)) == 255, frame.valid)
    for folder, name in (("depths", "depth"), ("pointmaps", "pointmap")):
        with np.load(io.BytesIO(FOLDERS[folder].encode(frame))) as archive:
            assert archive.files == [name]
            assert archive[name].dtype == np.float32
            np.testing.assert_array_equal(archive[name], getattr(frame, name))
    written = json.loads(FOLDERS["cameras"].encode(frame))
    np.testing.assert_array_equal(written["intrinsics"], frame.intrinsics)
    assert (written["height"], written["width"]) == frame.valid.shape


@pytest.mark.parametrize("index", [251, 543])
def test_cameras_that_do_not_look_at_the_middle_are_read(index: int, tmp_path: Path) -> None:
    """Their principal point lies as that of a larger or smaller image would."""
    frame = generate(0, index, (48, 32), (1, 1))
    size = (frame.valid.shape[0], frame.valid.shape[1])
    bare, path = tmp_path / "bare.json", tmp_path / "camera.json"
    bare.write_text(json.dumps(frame.intrinsics.tolist()))
    with pytest.raises(DataError, match="another resolution"):
        read_camera(bare, tmp_path / "image.jpg", size)
    path.write_bytes(FOLDERS["cameras"].encode(frame))
    np.testing.assert_array_equal(read_camera(path, tmp_path / "image.jpg", size), frame.intrinsics)


def test_normals_keep_sixteen_bits(frame: Frame) -> None:
    stored = png(FOLDERS["normals"].encode(frame))
    assert stored.dtype == np.uint16
    read = stored / 65535 * 2 - 1
    assert np.abs(read - frame.normal)[frame.valid].max() <= 1.01 / 65535
    assert (read[frame.valid] * frame.normal[frame.valid]).sum(1).min() > 1 - 1e-4


@pytest.mark.parametrize(
    ("folder", "name"), [("albedos", "albedo"), ("alphas", "alpha"), ("foregrounds", "foreground")]
)
def test_colors_keep_eight_bits(frame: Frame, folder: str, name: str) -> None:
    stored = png(FOLDERS[folder].encode(frame))
    assert stored.dtype == np.uint8
    assert np.abs(stored / 255 - getattr(frame, name)).max() <= 0.5 / 255 + 1e-6


def test_alpha_keeps_the_silhouette(frame: Frame) -> None:
    np.testing.assert_array_equal(png(FOLDERS["alphas"].encode(frame)) >= 128, frame.valid)


def test_image_survives_as_a_photograph_does(frame: Frame) -> None:
    read = cv2.imdecode(np.frombuffer(FOLDERS["images"].encode(frame), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(read.astype(int) - frame.image).mean() < 6


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_its_own_files_and_what_they_mean(frame: Frame, task: str) -> None:
    folders = {name.split("/")[0] for name, _ in encoded(frame, 7, (task,))}
    assert folders == set(folders_of((task,)))
    assert "images" in folders
    expected = {
        "pose": {"images"},
        "segmentation": {"images", "masks"},
        "matting": {"images", "alphas", "foregrounds"},
    }
    expected |= {name: {"images", f"{name}s", "valids"} for name in ("normal", "depth", "pointmap", "albedo")}
    assert folders - {"cameras"} == expected[task]
    assert ("cameras" in folders) == (task in ("normal", "depth", "pointmap"))
    assert folders <= set(meanings((task,)))


def test_splits_are_tenths_that_do_not_move() -> None:
    splits = [split_of(index) for index in range(1000)]
    assert splits.count("train") == 800
    assert splits.count("val") == splits.count("test") == 100
    assert set(splits[:10]) == {"train", "val", "test"}
