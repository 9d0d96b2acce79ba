"""Passes of OpenEXR files: as `predict` writes them, as renderers do, and what is said where none fits."""

from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.data.readers.arrays import read_array
from sapiens2_lit.errors import DataError

OpenEXR = pytest.importorskip("OpenEXR")
RNG = np.random.default_rng(0)
PASSES = {name: RNG.uniform(0.1, 1, (6, 4)).astype(np.float32) for name in (
    "ViewLayer.Combined.R", "ViewLayer.Combined.G", "ViewLayer.Combined.B", "ViewLayer.Combined.A",
    "ViewLayer.Normal.X", "ViewLayer.Normal.Y", "ViewLayer.Normal.Z",
    "ViewLayer.Position.X", "ViewLayer.Position.Y", "ViewLayer.Position.Z",
    "ViewLayer.DiffCol.R", "ViewLayer.DiffCol.G", "ViewLayer.DiffCol.B",
    "ViewLayer.Depth.Z", "ViewLayer.IndexOB.X", "ViewLayer.Mist.Z",
)}  # fmt: skip


def write(path: Path, channels: dict[str, np.ndarray], **header: object) -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    OpenEXR.File(header, dict(channels)).write(str(path))  # which changes the dict
    return path


def stack(*names: str, layer: str) -> np.ndarray:
    return np.stack([PASSES[f"ViewLayer.{layer}.{name}"] for name in names], axis=-1)


@pytest.mark.parametrize(
    "kind, channels, expected",
    [
        ("normal", 3, stack("X", "Y", "Z", layer="Normal")),
        ("pointmap", 3, stack("X", "Y", "Z", layer="Position")),
        ("albedo", 3, stack("R", "G", "B", layer="DiffCol")),
        ("foreground", 3, stack("R", "G", "B", layer="Combined")),
        ("depth", 1, PASSES["ViewLayer.Depth.Z"]),
        ("alpha", 1, PASSES["ViewLayer.Combined.A"]),
    ],
)
def test_every_label_is_found_among_all_passes_of_a_renderer(kind, channels, expected, tmp_path):
    path = write(tmp_path / "0001.exr", PASSES)
    np.testing.assert_array_equal(read_array(path, kind, channels), expected)


@pytest.mark.parametrize("layer", ["ViewLayer.Position", "Position", "position"])
def test_a_layer_is_named_in_full_or_by_its_end(layer, tmp_path):
    path = write(tmp_path / "0001.exr", PASSES)
    np.testing.assert_array_equal(
        read_array(path, "normal", 3, layer), stack("X", "Y", "Z", layer="Position")
    )
    np.testing.assert_array_equal(
        read_array(path, "depth", 1, "ViewLayer.Normal.Z"), PASSES["ViewLayer.Normal.Z"]
    )


@pytest.mark.parametrize("names", [("R", "G", "B"), ("X", "Y", "Z"), ("r", "g", "b")])
def test_the_only_three_channels_are_the_label_half_floats_too(names, tmp_path):
    values = RNG.uniform(-1, 1, (3, 6, 4)).astype(np.float16)
    path = write(tmp_path / "a.exr", dict(zip(names, values, strict=True)))
    found = read_array(path, "normal", 3)
    np.testing.assert_array_equal(found, values.transpose(1, 2, 0))
    assert found.dtype == np.float16


def test_depth_in_three_equal_channels_is_one(tmp_path):
    depth = PASSES["ViewLayer.Depth.Z"]
    path = write(tmp_path / "a.exr", dict.fromkeys("RGB", depth))
    np.testing.assert_array_equal(read_array(path, "depth", 1), depth)


def test_a_data_window_lies_in_its_display_window(tmp_path):
    part = RNG.uniform(1, 2, (3, 2)).astype(np.float32)
    header = {"dataWindow": ((1, 2), (2, 4)), "displayWindow": ((0, 0), (3, 5))}
    path = tmp_path / "a.exr"
    with OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, {"Z": part}) as file:
        file.write(str(path))
    found = read_array(path, "depth", 1)
    expected = np.zeros((6, 4), dtype=np.float32)
    expected[2:5, 1:3] = part
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "kind, channels, layer, message",
    [
        ("normal", 3, "Nrm", "no layer of three channels .* called 'Nrm' .*; the file has the channels .*Normal.X"),
        ("albedo", 3, None, "2 layers in it could be the albedo label.*data.layer"),
        ("depth", 1, None, "nothing in it could be the depth label, expected one channel.*A.X"),
    ],
)  # fmt: skip
def test_what_does_not_fit_lists_the_channels(kind, channels, layer, message, tmp_path):
    names = [f"{name}.{axis}" for name in ("A.Normal", "B.Other") for axis in "XYZ"]
    channels_by_name = PASSES if layer else dict.fromkeys(names, PASSES["ViewLayer.Normal.X"])
    channels_by_name = {name: values + place for place, (name, values) in enumerate(channels_by_name.items())}
    path = write(tmp_path / "0001.exr", channels_by_name)
    with pytest.raises(DataError, match=f"0001.exr: {message}".replace("A.X", "A.Normal.X")):
        read_array(path, kind, channels, layer)


def test_broken_files_are_errors(tmp_path):
    path = write(tmp_path / "0001.exr", PASSES)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"0001\.exr: the normal label cannot be read"):
        read_array(path, "normal", 3)
