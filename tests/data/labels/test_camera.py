"""Cameras from disk: every form of them, and what is wrong with one is said."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sapiens2_lit.data.labels.camera import FieldOfView, find_cameras, read_camera
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.geometry import field_of_view

SIZE = (20, 30)
CAMERA = [[40.0, 0.0, 14.5], [0.0, 40.0, 9.5], [0.0, 0.0, 1.0]]
IMAGE = Path("a.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[1, 2], [3, 4]]", r"a.json: no intrinsics in it, expected 3 x 3 numbers, \[\[fx"),
        ('{"k": 1}', r"no intrinsics in it"),
        ('{"K": "fx"}', r"no intrinsics in it"),
        ("[[40, 0, 14.5], [0, 40, 9.5], [0, 0, 2]]", r"the intrinsics are .* expected .* fx and fy above 0"),
        ("[[-40, 0, 14.5], [0, 40, 9.5], [0, 0, 1]]", r"fx and fy above 0"),
        ("[[NaN, 0, 14.5], [0, 40, 9.5], [0, 0, 1]]", r"the intrinsics are \[\[nan"),
        ("[[40, 0, 14.5], [0", r"a.json: the file ends too early"),
        (
            "[[80, 0, 29.5], [0, 80, 19.5], [0, 0, 1]]",
            r"the principal point \(29.5, 19.5\) is the middle of an image of 60 x 40, a.jpg is 30 x 20: .* another",
        ),
        (
            "[[80, 0, 33.5], [0, 80, 15.5], [0, 0, 1]]",
            r"the principal point \(33.5, 15.5\) lies outside the image, a.jpg is 30 x 20: .* for a crop, confirm it",
        ),
        (json.dumps({"intrinsics": CAMERA, "width": 30}), r"only one of `width` and `height` is given"),
        (
            json.dumps({"intrinsics": CAMERA, "width": 60, "height": 40}),
            r"the intrinsics are of an image of 60 x 40 \(width x height\), a.jpg is 30 x 20",
        ),
    ],
)
def test_what_is_no_camera_is_said(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_camera(path, IMAGE, SIZE)


def test_cameras_in_every_form(tmp_path):
    (tmp_path / "cameras").mkdir()
    (tmp_path / "cameras" / "a.json").write_text(json.dumps({"K": CAMERA, "width": 30, "height": 20}))
    (tmp_path / "cameras" / "b.txt").write_text("40 0 14.5\n0, 40, 9.5\n0 0 1\n")
    (tmp_path / "camera.json").write_text(json.dumps(CAMERA))
    folder = find_cameras(tmp_path, "cameras", None)
    single = find_cameras(tmp_path, "camera.json", None)
    folder.check(["a", "b"])
    single.check(["anything"])
    for found in (
        folder.read(IMAGE, "a", SIZE),
        folder.read(IMAGE, "b", SIZE),
        single.read(IMAGE, "z", SIZE),
    ):
        np.testing.assert_array_equal(found, CAMERA)
    with pytest.raises(
        DataError, match=r"c: the image has no `intrinsics` label, expected c.json or c.txt here, or splits"
    ):
        folder.check(["a", "c"])
    (tmp_path / "cameras" / "a.txt").write_text("40 0 14.5 0 40 9.5 0 0 1")
    with pytest.raises(
        DataError, match=r"a: the image has the `intrinsics` labels a.json and a.txt, expected one"
    ):
        folder.check(["a", "b"])
    crop = {"intrinsics": [[40, 0, 29.5], [0, 40, 19.5], [0, 0, 1]], "width": 30, "height": 20}
    (tmp_path / "cameras" / "a.json").write_text(json.dumps(crop))
    assert folder.read(IMAGE, "a", SIZE)[0, 2] == 29.5, "who says the size is believed"
    (tmp_path / "cameras" / "b.txt").write_text("40 0 14.5 x")
    with pytest.raises(DataError, match=r"b.txt: the camera cannot be read, expected nine numbers"):
        folder.read(IMAGE, "b", SIZE)


def test_images_of_a_folder_may_share_a_camera(tmp_path):
    """The nearest folder that has one: of the image itself, of its folder, of the folder around that."""
    cameras = {"s/camA": 41, "s/camA/deep/2": 42, "s": 43}
    for name, focal in cameras.items():
        path = tmp_path / "cameras" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([[focal, 0, 14.5], [0, focal, 9.5], [0, 0, 1]]))
    folder = find_cameras(tmp_path, "cameras", None)
    stems = {"s/camA/1": 41, "s/camA/deep/1": 41, "s/camA/deep/2": 42, "s/camB/1": 43}
    folder.check(stems)
    assert {stem: folder.read(IMAGE, stem, SIZE)[0, 0] for stem in stems} == stems
    assert folder.without_image(stems) == []
    assert folder.without_image(["s/camB/1"]) == ["s/camA", "s/camA/deep/2"]
    message = (
        r"t/1: the image has no `intrinsics` label, expected t/1.json or t/1.txt or t.json or t.txt here"
    )
    with pytest.raises(DataError, match=message):
        folder.check([*stems, "t/1"])
    (tmp_path / "cameras" / "s.txt").write_text("43 0 14.5 0 43 9.5 0 0 1")
    with pytest.raises(DataError, match=r"s/camB/1: .* labels s.json and s.txt, expected one"):
        folder.check(stems)


def test_a_field_of_view_is_a_camera(tmp_path):
    for size in (SIZE, SIZE[::-1]):
        camera = FieldOfView(60).read(IMAGE, "a", size)
        angles = torch.rad2deg(field_of_view(torch.from_numpy(camera)[None], size))[0]
        assert angles.max() == pytest.approx(60)
    with pytest.raises(SettingError, match=r"data.field_of_view is 0, expected degrees"):
        FieldOfView(0)
    with pytest.raises(SettingError, match=r"set one of them to null"):
        find_cameras(tmp_path, "cameras", 60)
    with pytest.raises(DataError, match=r"cameras does not exist: .* data.field_of_view to degrees"):
        find_cameras(tmp_path, "cameras", None)
    assert find_cameras(tmp_path, None, None) is None
