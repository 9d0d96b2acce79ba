"""Exr files as labels: linear colors, mattes, and all passes of a renderer in one file through a datamodule."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.data.labels.color import AlbedoFolder, AlphaFolder, ForegroundFolder
from sapiens2_lit.datamodules import DepthDataModule, NormalDataModule
from sapiens2_lit.errors import SettingError

OpenEXR = pytest.importorskip("OpenEXR")
SIZE = (48, 36)
IMAGE = Path("0001.jpg")


def write(path: Path, **channels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    content = {name.replace("__", "."): np.ascontiguousarray(one) for name, one in channels.items()}
    OpenEXR.File(header, content).write(str(path))
    return path


def linear(color: np.ndarray) -> np.ndarray:
    """The way back from sRGB, by the standard's other formula."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4).astype(np.float32)


def test_linear_albedo_becomes_srgb(tmp_path):
    color = np.random.default_rng(0).uniform(0.01, 1, (*SIZE, 3)).astype(np.float32)
    write(tmp_path / "0001.exr", **dict(zip("RGB", np.moveaxis(linear(color), -1, 0), strict=True)))
    found = AlbedoFolder(tmp_path).read(IMAGE, "0001", SIZE)
    np.testing.assert_allclose(found.values, color, atol=1e-5)
    assert found.valid.all()


@pytest.mark.parametrize("premultiplied", [True, False])
def test_mattes_and_foregrounds_of_one_file(premultiplied, tmp_path):
    rng = np.random.default_rng(1)
    color, alpha = rng.uniform(0, 1, (*SIZE, 3)), rng.uniform(0.1, 1, SIZE).astype(np.float32)
    stored = linear(color) * (alpha[..., None] if premultiplied else 1)
    channels = dict(zip("RGB", np.moveaxis(stored, -1, 0).astype(np.float32), strict=True))
    write(tmp_path / "0001.exr", A=alpha, **channels)
    alphas = AlphaFolder(tmp_path)
    found = ForegroundFolder(tmp_path, alphas, premultiplied).read(IMAGE, "0001", SIZE)
    np.testing.assert_allclose(alphas.read(IMAGE, "0001", SIZE).values[..., 0], alpha)
    np.testing.assert_allclose(found.values, color * alpha[..., None], atol=1e-5)


@pytest.fixture
def passes(tmp_path: Path) -> Path:
    """Three pictures with a half ellipsoid's normals and depth in one exr each."""
    v, u = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    inside = u**2 + v**2 < 0.8
    z = np.sqrt(np.where(inside, 1 - u**2 - v**2, 0))
    normals = np.where(inside[..., None], np.stack([u, -v, z], axis=-1), 0).astype(np.float32)  # opengl
    depth = np.where(inside, 3 - z, 1e10).astype(np.float32)
    (tmp_path / "images").mkdir()
    for stem in ("0001", "0002", "0003"):
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(tmp_path / "images" / f"{stem}.jpg")
        layers = {f"View__Normal__{axis}": normals[..., place] for place, axis in enumerate("XYZ")}
        layers |= {f"View__Other__{axis}": normals[..., place] / 2 for place, axis in enumerate("XYZ")}
        write(tmp_path / "exr" / f"{stem}.exr", View__Depth__Z=depth, **layers)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "train.txt").write_text("0001\n0002\n0003\n")
    return tmp_path


def test_one_file_of_all_passes_serves_two_tasks(passes):
    common = {"image_size": SIZE, "val": None, "augment": None, "num_workers": 0}
    normals = NormalDataModule(str(passes), normals="exr", frame="opengl", **common)
    normals.setup("fit")
    sample = normals.datasets["train"][0]
    assert sample["normal"].norm(dim=0)[sample["valid"][0]].sub(1).abs().max() < 1e-4
    assert (sample["normal"][2][sample["valid"][0]] < 0).all()
    depths = DepthDataModule(str(passes), depths="exr", layer="Depth", **common)
    depths.setup("fit")
    depth = depths.datasets["train"][0]
    torch.testing.assert_close(depth["valid"], sample["valid"])
    assert depth["depth"][depth["valid"]].min() >= 2 and depth["depth"].max() < 3


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"layer": "Normal", "normals": "npy"}, "holds no exr file"),
        ({"layer": {"albedo": "Normal"}, "normals": "exr"}, "data.layer names 'albedo', expected normal"),
    ],
)
def test_a_layer_without_effect_is_refused(settings, said, passes):
    (passes / "npy").mkdir()
    data = NormalDataModule(str(passes), image_size=SIZE, val=None, num_workers=0, **settings)
    with pytest.raises(SettingError, match=said):
        data.setup("fit")
