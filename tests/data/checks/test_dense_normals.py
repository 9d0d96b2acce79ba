"""Normals of other frames, channels, axes and spaces are known by the outline of people, and by depth."""

import re
import shutil
from itertools import permutations, product

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.checks import LabelError, run_checks
from sapiens2_lit.data.checks.normals import NormalAxes, NormalLabels, WorldNormals, measure_normals
from sapiens2_lit.data.checks.outlines import CAMERA_FRAMES, Axes, best_axes, measure_outline
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.datamodules import NormalDataModule
from sapiens2_lit.errors import DataError


def data_of(root, **settings):
    data = NormalDataModule(
        str(root), (64, 48), **{"val": None, "augment": None, "num_workers": 0, **settings}
    )
    data.setup("fit")
    return data


def rotation(axis, degrees):
    angle = np.radians(degrees)
    turn = np.eye(3)
    first, second = [index for index in range(3) if index != axis]
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
    return turn


ALL_AXES = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def inverse(order, signs):
    """The axes that undo n[..., order] * signs."""
    back = [order.index(place) for place in range(3)]
    return Axes(tuple(back), tuple(signs[place] for place in back))


@pytest.mark.slow
@pytest.mark.parametrize(("order", "signs"), ALL_AXES)
def test_each_of_all_48_axes_is_recognized_in_one_picture(people, order, signs):
    one = people(7)[0]
    wrong = one.normals[..., list(order)] * signs
    assert best_axes(measure_outline(wrong, one.valid)) == inverse(order, signs)


@pytest.mark.slow
@pytest.mark.parametrize("frame", ["opencv", "opengl"])
@pytest.mark.parametrize(("order", "signs"), [entry for entry in ALL_AXES if entry != ((0, 1, 2), (1, 1, 1))])
def test_the_remedy_in_terms_of_the_files_is_right(eight, frame, order, signs):
    """Apply what the message says to the files: they are then what the frame says."""
    convert = np.array((1, 1, 1) if frame == "opencv" else (1, -1, -1))
    files = [(one.normals * convert)[..., list(order)] * signs for one in eight]
    facts = [measure_normals(file * convert, one.valid) for file, one in zip(files, eight, strict=True)]
    paths = [f"{index}.png" for index in range(8)]
    subject = NormalLabels("train", paths, paths, facts.__getitem__, frame=frame)
    (found,) = run_checks([subject], (NormalAxes(), WorldNormals()), quick=False).findings
    assert found.check == "normal_axes"
    if named := re.search("set it to '(.+)'", found.remedy):
        np.testing.assert_allclose(files[0] * CAMERA_FRAMES[named[1]], eight[0].normals, atol=1e-6)
        return
    scope = {"n": files[0]}
    statement = found.remedy[found.remedy.index("n = n") :].split(", and set")[0].rstrip(".")
    exec(statement, scope)  # our own message
    meant = re.search("the frame is '(.+)'", found.remedy)
    target = eight[0].normals * (CAMERA_FRAMES[meant[1]] if meant else convert)
    np.testing.assert_allclose(scope["n"], target, atol=1e-6)


@pytest.mark.parametrize(
    "turns",
    [
        [rotation(1, 40)] * 8,
        [rotation(1, 45 * index) for index in range(8)],
        [rotation(1, 70 * index) @ rotation(0, -25 + 7 * index) for index in range(8)],
        [rotation(0, 35)] * 8,
    ],
    ids=["one turned camera", "cameras around", "cameras around and above", "a camera above"],
)
def test_world_space_is_an_error(eight, turns):
    facts = [measure_normals(one.normals @ turn.T, one.valid) for one, turn in zip(eight, turns, strict=True)]
    paths = [f"{index}.png" for index in range(8)]
    subject = NormalLabels("train", paths, paths, facts.__getitem__)
    found = run_checks([subject], (NormalAxes(), WorldNormals()), quick=False).findings
    assert [finding.check for finding in found] == ["world_normals"]
    assert "n @ R.T" in found[0].remedy


def test_direct_x_normals_stop_before_training(folder, eight, changed):
    root = folder(changed(eight, normals=lambda one: one.normals * (1, 1, -1)))
    with pytest.raises(LabelError, match=r"normal_axes(.|\n)*'opengl'; set it to 'directx_normals'"):
        data_of(root, frame="opengl")
    assert not data_of(root, frame="directx_normals").report.findings
    assert data_of(root, frame="opengl", allow=["normal_axes"]).report.findings[0].allowed


def test_bgr_is_told_as_the_order_of_channels(folder, eight):
    root = folder(eight)
    for index, one in enumerate(eight):
        (root / f"normals/{index:04d}.npy").unlink()
        stored = np.round((one.normals + 1) / 2 * 65535).astype(np.uint16) * one.valid[..., None]
        cv2.imwrite(str(root / f"normals/{index:04d}.png"), stored.astype(np.uint16))  # RGB given as BGR
    with pytest.raises(LabelError, match=r"order z, y, x, as cv2.imwrite saves"):
        data_of(root)
    for path in (root / "normals").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1])
    assert not data_of(root).report.findings


@pytest.mark.parametrize("fill", [(0, 0, -1), (0.577, 0.577, -0.577)])
def test_a_filled_background_stops_and_valids_mend_it(folder, eight, changed, fill):
    root = folder(changed(eight, normals=lambda one: np.where(one.valid[..., None], one.normals, fill)))
    with pytest.raises(LabelError, match=r"flat_normals.*a background that was filled(.|\n)*data.valids"):
        data_of(root)
    (root / "valids").mkdir()
    for index, one in enumerate(eight):
        cv2.imwrite(str(root / f"valids/{index:04d}.png"), one.valid.astype(np.uint8) * 255)
    assert not data_of(root).report.findings


@pytest.mark.parametrize("fill", [(0, 0, 1), (0.5, 0.5, 0.5), (1, 1, 1), (-0.5, -0.5, -0.5)])
def test_a_background_that_faces_away_or_is_no_normal_is_named(tmp_path, people, fill):
    one = people(7)[0]
    np.save(tmp_path / "a.npy", np.where(one.valid[..., None], one.normals, fill).astype(np.float32))
    with pytest.raises(
        DataError, match=r"all around: if this is a background that was filled with a color"
    ) as error:
        NormalFolder(tmp_path).read(tmp_path / "a.jpg", "a", one.depth.shape)
    assert "opengl" not in str(error.value)


def test_a_grey_background_of_8_bits_is_none(folder, eight, changed):
    root = folder(eight)
    for index, one in enumerate(eight):
        (root / f"normals/{index:04d}.npy").unlink()
        for grey in (127, 128):
            stored = np.round((one.normals + 1) / 2 * 255).astype(np.uint8)
            stored[~one.valid] = grey
            cv2.imwrite(str(root / f"normals/{index:04d}.png"), stored[..., ::-1])
    data = data_of(root)
    assert not data.report.findings
    field = (
        data.datasets["train"].label_sources[0].read(root / "images/0000.png", "0000", eight[0].depth.shape)
    )
    np.testing.assert_array_equal(field.valid, eight[0].valid)


def test_normals_that_contradict_their_depth_are_told(eight, folder, changed):
    """Whole pictures without outline, of which depth alone knows."""

    def crop(one, values):
        v, u = np.argwhere(one.mask == 2).mean(axis=0).round().astype(int)
        return values[v - 6 : v + 7, u - 6 : u + 7]

    def small(make):
        return changed(
            eight,
            image=lambda one: crop(one, one.image),
            mask=lambda one: crop(one, one.mask),
            depth=lambda one: crop(one, one.depth),
            alpha=lambda one: crop(one, one.alpha),
            normals=lambda one: make(crop(one, one.normals)),
            camera=lambda one: np.array([[60, 0, 6], [0, 60, 6], [0, 0, 1.0]]),
        )

    whole = folder(small(lambda normals: normals))
    assert "normals_against_depth" not in [found.check for found in data_of(whole).report.findings]
    for index, one in enumerate(small(lambda normals: normals * (-1, 1, 1))):
        np.save(whole / f"normals/{index:04d}.npy", one.normals.astype(np.float32))
    found = [found.check for found in data_of(whole, allow=["normal_axes"]).report.findings]
    assert "normals_against_depth" in found or "normal_axes" in found


@pytest.mark.parametrize("beside", ["alphas", "masks"])
def test_normals_of_whole_rooms_are_known_by_the_people_beside_them(eight, folder, changed, beside):
    wall = np.array([0.3, -0.1, -np.sqrt(1 - 0.1)])
    rooms = changed(eight, normals=lambda one: np.where(one.valid[..., None], one.normals, wall))
    root = folder(rooms)
    if beside == "masks":
        shutil.rmtree(root / "alphas")
    shutil.rmtree(root / "depths")
    data = data_of(root, allow=["flat_normals"])  # the same wall in all pictures
    assert {finding.check for finding in data.report.findings} <= {"flat_normals"}
    for index, one in enumerate(rooms):
        np.save(root / f"normals/{index:04d}.npy", (one.normals * (1, -1, 1)).astype(np.float32))
    with pytest.raises(LabelError, match=r"normal_axes(.|\n)*'opencv'; set it to 'directx'"):
        data_of(root, allow=["flat_normals"])
