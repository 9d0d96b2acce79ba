"""Depth without measurement does not count; units, backgrounds and intrinsics that cannot be are told."""

import json

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.checks import LabelError
from sapiens2_lit.data.checks.sentinels import is_sentinel
from sapiens2_lit.data.labels.camera import read_camera
from sapiens2_lit.datamodules import DepthDataModule, PointmapDataModule
from sapiens2_lit.errors import DataError


def data_of(root, kind=DepthDataModule, **settings):
    data = kind(str(root), (64, 48), **{"val": None, "augment": None, "num_workers": 0, **settings})
    data.setup("fit")
    return data


def found_in(data):
    return {finding.check: finding for finding in data.report.findings}


def store(root, pictures, save):
    """Write each depth anew by save(path without suffix, depth, valid)."""
    for index, one in enumerate(pictures):
        path = root / f"depths/{index:04d}"
        path.with_suffix(".npy").unlink()
        save(path, one.depth, one.valid)


def as_floats(fill, kind=np.float32):
    def save(path, depth, valid):
        np.save(path.with_suffix(".npy"), np.where(valid, depth, fill).astype(kind))

    return save


def as_millimeters(fill):
    def save(path, depth, valid):
        cv2.imwrite(str(path) + ".png", np.where(valid, np.round(depth * 1000), fill).astype(np.uint16))

    return save


def expect_people_alone(data, pictures, relative=False):
    """The depth that counts is that of people, and in meters."""
    for index, one in enumerate(pictures):
        field = (
            data.datasets["train"]
            .label_sources[0]
            .read(data.root / f"images/{index:04d}.png", f"{index:04d}", one.depth.shape)
        )
        np.testing.assert_array_equal(field.valid, one.valid)
        if not relative:
            np.testing.assert_allclose(field.values[field.valid][:, 0], one.depth[one.valid], rtol=2e-3)


@pytest.mark.parametrize(
    ("save", "settings"),
    [
        (as_floats(1e10), {}),
        (as_floats(1e11, np.float64), {}),
        (as_floats(3.4028235e38), {}),
        (as_floats(1e300, np.float64), {}),
        (as_floats(65504, np.float16), {}),
        (as_floats(65504), {}),
        (as_floats(65535), {}),
        (as_floats(1000), {}),  # a far plane
        (as_floats(np.inf), {}),
        (as_floats(np.nan), {}),
        (as_floats(0), {}),
        (as_millimeters(65535), {"unit": 0.001}),
        (as_millimeters(0), {"unit": 0.001}),
    ],
)
def test_what_was_not_measured_does_not_count(folder, eight, save, settings):
    root = folder(eight)
    store(root, eight, save)
    expect_people_alone(data_of(root, **settings), eight)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_far_background_is_none_whatever_its_share(tmp_path, folder, eight, changed, share):
    def room(one):
        depth = np.full(one.depth.shape, 2.5)
        depth[:, : round(share * depth.shape[1])] = 1e10
        return depth

    pictures = changed(eight, depth=room)
    data = data_of(folder(pictures))
    counted = [float(data.datasets["train"][index]["valid"].float().mean()) for index in range(8)]
    assert max(counted) < 1 - share + 0.05
    note = found_in(data)["unmeasured_depth"]
    assert (note.severity, note.count) == ("note", 8)
    assert "1e+10" in note.message


def test_sentinels_of_relative_depth(folder, eight):
    for fill in (1e10, 65535, 1e6):
        root = folder(eight)
        for path in (root / "depths").iterdir():
            path.unlink()
        for index, one in enumerate(eight):
            np.save(root / f"depths/{index:04d}.npy", np.where(one.valid, one.depth * 7, fill))
        expect_people_alone(data_of(root, relative=True), eight, relative=True)


def test_largest_numbers_of_each_format():
    for kind in (np.uint16, np.int16, np.uint32, np.int32, np.int64):
        most = np.iinfo(kind).max
        assert is_sentinel(np.array([0, 1, most - 1, most], kind)).tolist() == [False, False, False, True]
    assert not is_sentinel(np.arange(256, dtype=np.uint8)).any()
    for kind in (np.float32, np.float64):
        values = np.array(
            [0, 2.5, 5e8, 65503, 65504, 65535, 1e9, 1e10, np.finfo(kind).max, np.nan, np.inf], kind
        )
        assert is_sentinel(values).tolist() == [False] * 4 + [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    ("factor", "unit", "message"),
    [
        (1, 0.001, r"the median depth is .* expected 0.05 m or more: set data.unit .*leave it null"),
        (0.001, None, r"the median depth is 0.00.* m, expected 0.05 m or more"),
        (1000, None, r"the median depth is .* m, expected less than 100 m: set data.unit"),
        (1e6, 0.001, r"the median depth is .* expected less than 100 m"),
    ],
)
def test_a_unit_that_cannot_be_stops_in_both_directions(folder, eight, changed, factor, unit, message):
    root = folder(changed(eight, depth=lambda one: one.depth * factor))
    with pytest.raises(LabelError, match=message):
        data_of(root, unit=unit)


@pytest.mark.parametrize(("factor", "more"), [(0.07, 0), (1, 60)])
def test_an_unlikely_unit_is_told(folder, eight, changed, factor, more):
    root = folder(changed(eight, depth=lambda one: np.where(one.valid, one.depth * factor + more, 0)))
    found = found_in(data_of(root))["depth_unit"]
    assert "data.unit" in found.remedy
    assert not found_in(data_of(root, relative=True))


def test_a_filled_background_is_told(folder, eight, changed):
    root = folder(changed(eight, depth=lambda one: np.where(one.valid, one.depth, 50)))
    found = found_in(data_of(root))["flat_depth"]
    assert (found.severity, found.count) == ("warning", 8)
    assert "exactly 50 m" in found.message


def test_depth_stretched_to_one_is_told(folder, eight, changed):
    root = folder(changed(eight, depth=lambda one: one.depth / one.depth.max()))
    assert "data.relative" in found_in(data_of(root))["stretched_depth"].remedy
    assert not found_in(data_of(root, relative=True))


def test_points_without_measurement_do_not_count(folder, eight):
    root = folder(eight)
    (root / "pointmaps").mkdir()
    for index, one in enumerate(eight):
        v, u = np.mgrid[: one.depth.shape[0], : one.depth.shape[1]].astype(float)
        points = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(one.camera).T * one.depth[..., None]
        points[~one.valid] = [1e10, 65504, 3e38][index % 3]
        np.save(root / f"pointmaps/{index:04d}.npy", points.astype(np.float32))
    expect_people_alone(data_of(root, PointmapDataModule, cameras="cameras"), eight)


def camera(tmp_path, matrix, size=(128, 96)):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"intrinsics": matrix}))
    return read_camera(path, tmp_path / "a.jpg", size)


def matrix(fx, fy, cx, cy):
    return [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]


@pytest.mark.parametrize(
    ("values", "size", "message"),
    [
        (
            (0.94, 0.70, 0.5, 0.5),
            (128, 96),
            r"normalized by the image's size. Multiply fx and cx by the width",
        ),
        ((0.94, 0.94, 0.5, 0.5), (96, 96), r"normalized"),
        ((1.8, 1.2, 0.48, 0.53), (720, 1280), r"normalized"),
        ((0.94, 0.70, 47.5, 63.5), (128, 96), r"fields of view of 178 and 179 degrees"),
        ((35, 35, 511.5, 383.5), (768, 1024), r"fields of view .* not millimeters"),
        ((1e5, 1e5, 47.5, 63.5), (128, 96), r"fields of view"),
        ((90, 90, 63.5, 47.5), (128, 96), r"the middle of an image of 128 x 96, .* x and y are exchanged"),
        (
            (900, 900, 639.5, 359.5),
            (360, 640),
            r"the middle of an image of 1280 x 720|lies outside the image",
        ),
        ((225, 225, 155.0, 92.0), (360, 640), r"the middle of an image of 3\d\d x 1\d\d"),
    ],
)
def test_intrinsics_that_are_none_of_the_image_are_refused(tmp_path, values, size, message):
    with pytest.raises(DataError, match=message):
        camera(tmp_path, matrix(*values), size)


def test_healthy_intrinsics_of_many_cameras_pass(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(60, 2000, 2))
        angle = np.radians(rng.uniform(2, 130))
        focal = max(height, width) / 2 / np.tan(angle / 2)
        shift = rng.uniform(-0.04, 0.04, 2)
        values = (focal, focal * rng.uniform(0.9, 1.1), width * (0.5 + shift[0]), height * (0.5 + shift[1]))
        camera(tmp_path, matrix(*values), (height, width))


def test_a_transposed_matrix_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected \[\[fx, skew, cx\]"):
        camera(tmp_path, np.transpose(matrix(90, 90, 47.5, 63.5)).tolist())


def test_focal_lengths_of_the_other_side_are_told(folder, eight):
    root = folder(eight)
    for path in (root / "cameras").iterdir():
        values = np.array(json.loads(path.read_text())["intrinsics"])
        values[0, 0] *= 120 / 90
        values[1, 1] *= 90 / 120
        path.write_text(json.dumps({"intrinsics": values.tolist()}))
    found = found_in(data_of(root, cameras="cameras"))["stretched_pixels"]
    assert (found.severity, found.count) == ("warning", 8)
    assert "camera" in found.remedy


def test_a_crop_that_says_its_size_may_have_any_principal_point(tmp_path):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"intrinsics": matrix(90, 90, 63.5, 47.5), "width": 96, "height": 128}))
    assert read_camera(path, tmp_path / "a.jpg", (128, 96))[0, 2] == 63.5
