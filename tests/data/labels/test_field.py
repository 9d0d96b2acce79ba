"""Dense labels from disk: what is wrong with a file is said, with its name, what was found and what was expected."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.data.labels.camera import CameraFolder
from sapiens2_lit.data.labels.depth import DepthFolder, PointmapFolder
from sapiens2_lit.data.labels.field import FieldFolder, ValidFolder
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.labels.stored_field import Field
from sapiens2_lit.errors import DataError

SIZE = (20, 30)
CAMERA = [[40.0, 0.0, 14.5], [0.0, 40.0, 9.5], [0.0, 0.0, 1.0]]
IMAGE = Path("a.jpg")


def read(folder: FieldFolder, values: np.ndarray, suffix: str = ".npy") -> Field:
    path = folder.folder / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    else:
        cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)
    return folder.read(IMAGE, "a", SIZE)


def towards(share: float = 1.0) -> np.ndarray:
    """Normals of which a share faces the camera."""
    normals = np.zeros((*SIZE, 3), np.float32)
    normals[..., 2] = 1
    normals.reshape(-1, 3)[: round(share * 600), 2] = -1
    return normals


def plane(depth: float = 2.0) -> np.ndarray:
    v, u = np.mgrid[:20, :30].astype(np.float32)
    return np.stack([(u - 14.5) / 40 * depth, (v - 9.5) / 40 * depth, np.full_like(u, depth)], axis=-1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (towards(0.2), r"a.npy: 80% of the normals face away .* says, 'opencv'; set it to 'opengl'"),
        (
            towards() * 0.5,
            r"100% of the normals are not unit vectors \(median length 0.50\); expected length 1",
        ),
        (towards() * 255, r"not unit vectors \(median length 255.00\)"),
        (towards()[:10], r"the label is 30 x 10, its image a.jpg is 30 x 20 \(width x height\)"),
        (towards().transpose(1, 0, 2), r"the label is 20 x 30 \(turned: .*\), its image a.jpg is 30 x 20"),
        (towards().transpose(2, 0, 1), r"\(channels come last: transpose it\)"),
        (towards()[..., :2], r"the label has 2 channels, expected 3"),
        (towards()[..., 2], r"the label has 1 channels, expected 3"),
        (towards()[None], r"has the shape \(1, 20, 30, 3\), expected \(height, width\) or"),
        (towards().astype(np.complex64), r"holds complex64, expected real numbers"),
    ],
)
def test_what_are_no_normals_is_said(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        read(NormalFolder(tmp_path), values)


def test_normals_that_are_not_there_do_not_count(tmp_path):
    folder = NormalFolder(tmp_path)
    assert not read(folder, np.zeros((*SIZE, 3), np.float32)).valid.any()
    broken = towards()
    broken[0, :5] = np.nan
    broken[1, :5] = 0.6 * broken[1, :5]  # an edge that somebody interpolated
    broken[2] = 0
    field = read(folder, broken)
    assert field.invalid == 5 + 5
    assert field.valid.sum() == 600 - 5 - 5 - 30
    black = np.zeros((*SIZE, 3), np.uint16)
    black[5:, :, :2], black[5:, :, 2] = 32768, 0
    assert read(NormalFolder(tmp_path), black, ".npy").valid.sum() == 15 * 30
    assert read(NormalFolder(tmp_path, frame="opengl"), -towards()).valid.all()


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (np.full(SIZE, -1.5), {}, r"a.npy: 600 pixels have negative depth, down to -1.5; expected distances"),
        (
            np.full(SIZE, 2000, np.uint16),
            {},
            r"depth in uint16 and data.unit is null: .* 0.001 for millimeters",
        ),
        (np.full(SIZE, 2000.0), {}, r"the median depth is 2000 m, expected less than 100 m: set data.unit"),
        (np.full(SIZE, 2000.0), {"unit": 0.1}, r"the median depth is 200 m"),
        (np.full((10, 15), 2.0), {}, r"the label is 15 x 10, its image a.jpg is 30 x 20"),
        (np.full((*SIZE, 3), 2.0), {}, r"3 channels, expected 1: keep one, values\[..., 0\], if all hold"),
        (np.full(SIZE, -2.0), {"relative": True}, r"negative depth"),
    ],
)
def test_what_is_no_depth_is_said(tmp_path, values, settings, message):
    with pytest.raises(DataError, match=message):
        read(DepthFolder(tmp_path, **settings), values)


def test_depth_of_any_unit_and_without_one(tmp_path):
    millimetres = np.full(SIZE, 2500, np.uint16)
    millimetres[0] = 0
    for suffix in (".png", ".npy"):
        field = read(DepthFolder(tmp_path, unit=0.001), millimetres, suffix)
        np.testing.assert_allclose(field.values[field.valid], 2.5)
        assert field.valid.sum() == 19 * 30
        (tmp_path / f"a{suffix}").unlink()
    relative = read(DepthFolder(tmp_path, relative=True), millimetres)
    assert relative.values[relative.valid].max() == 2500
    odd = np.full(SIZE, 2.0)
    odd[0, :3], odd[0, 3:7], odd[1, :2] = np.nan, np.inf, -np.inf
    field = read(DepthFolder(tmp_path), odd)
    assert field.invalid == 9
    assert field.valid.sum() == 591


def test_pictures_of_depth_are_no_depth(tmp_path):
    grey = np.full(SIZE, 100, np.uint8)
    for settings in ({"unit": 0.02}, {"relative": True}):
        with pytest.raises(
            DataError, match=r"a.png: a png of 8 bits, expected 16: .* Write the depth itself"
        ):
            read(DepthFolder(tmp_path, **settings), grey, ".png")
    (tmp_path / "a.png").unlink()
    np.testing.assert_allclose(read(DepthFolder(tmp_path, unit=0.02), grey).values, 2)


def test_depth_from_exr(tmp_path):
    exr = pytest.importorskip("OpenEXR")
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    for channels in ({"Z": np.full(SIZE, 2.5, np.float32)}, {"Y": np.full(SIZE, 2.5, np.float16)}):
        with exr.File(header, channels) as file:
            file.write(str(tmp_path / "a.exr"))
        assert (DepthFolder(tmp_path).read(IMAGE, "a", SIZE).values == 2.5).all()


def test_sentinels_outside_valids_do_no_harm(tmp_path):
    for name in ("depths", "valids", "normals"):
        (tmp_path / name).mkdir()
    mask = np.zeros(SIZE, np.uint8)
    mask[:5] = 255
    Image.fromarray(mask).save(tmp_path / "valids" / "a.png")
    valids = ValidFolder(tmp_path / "valids")
    depth = np.where(mask > 0, 2.0, -1.0)
    assert read(DepthFolder(tmp_path / "depths", valids=valids), depth).valid.sum() == 150
    normals = np.where(mask[..., None] > 0, towards(), towards(0))
    assert read(NormalFolder(tmp_path / "normals", valids=valids), normals).valid.sum() == 150
    with pytest.raises(DataError, match="75% of the normals face away"):
        read(NormalFolder(tmp_path / "normals"), normals)
    half = np.where(mask > 0, -2.0, np.nan)
    with pytest.raises(DataError, match="150 pixels have negative depth"):
        read(DepthFolder(tmp_path / "depths", valids=valids), half)
    behind = plane(-2.0)
    behind[mask == 0] = np.nan
    with pytest.raises(DataError, match="100% of the points lie behind"):
        read(pointmaps(tmp_path, valids=valids), behind)
    (tmp_path / "valids" / "a.png").unlink()
    with pytest.raises(DataError, match=r"a: the image has no `valid` label, expected a.png here"):
        DepthFolder(tmp_path / "depths", valids=valids).check(["a"])


def pointmaps(root: Path, camera: object = CAMERA, **settings) -> PointmapFolder:
    for name in ("cameras", "pointmaps"):
        (root / name).mkdir(exist_ok=True)
    (root / "cameras" / "a.json").write_text(json.dumps(camera))
    return PointmapFolder(root / "pointmaps", CameraFolder(root / "cameras"), **settings)


def test_point_maps_must_fit_their_camera(tmp_path):
    field = read(pointmaps(tmp_path), plane())
    assert field.valid.all()
    np.testing.assert_array_equal(field.values, 2)
    flipped = plane() * np.array([1, -1, -1], np.float32)
    assert read(pointmaps(tmp_path, frame="opengl"), flipped).valid.all()
    with pytest.raises(DataError, match=r"100% of the points lie behind the camera: .* set it to 'opengl'"):
        read(pointmaps(tmp_path), flipped)
    double = {"intrinsics": (np.array(CAMERA) * [[2], [2], [1]]).tolist(), "width": 30, "height": 20}
    with pytest.raises(
        DataError, match=r"the points lie .* pixels off .* do not belong to the 30 x 20 pixels"
    ):
        read(pointmaps(tmp_path, double), plane())
    with pytest.raises(DataError, match=r"the median depth is 2000 m"):
        read(pointmaps(tmp_path), plane(2000))
    np.testing.assert_allclose(read(pointmaps(tmp_path, unit=0.001), plane(2000)).values, 2)
    with pytest.raises(DataError, match=r"points in int32 and data.unit is null"):
        read(pointmaps(tmp_path), (plane(2) * 1000).astype(np.int32))
    odd = plane()
    odd[0], odd[1, :4] = 0, np.nan
    field = read(pointmaps(tmp_path), odd)
    assert (field.valid.sum(), field.invalid) == (600 - 30 - 4, 4)
    with pytest.raises(DataError, match=r"b.json: the file does not exist"):
        np.save(tmp_path / "pointmaps" / "b.npy", plane())
        pointmaps(tmp_path).read(IMAGE, "b", SIZE)
