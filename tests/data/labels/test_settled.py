"""Labels as the network gets them against a plain reference: warped, divided, turned, made of length 1, zeroed."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from plain_fields import AFFINES, SIZE, SOURCE, blobs, reference

from sapiens2_lit.data.labels.color import AlbedoFolder, AlphaFolder, ForegroundFolder
from sapiens2_lit.data.labels.depth import DepthFolder, UnprojectedFolder
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.labels.stored_field import Field
from sapiens2_lit.data.labels.warp import warp_rasters
from sapiens2_lit.geometry import rotate_vectors, unproject, warp_intrinsics

Floats = npt.NDArray[np.float32]

K = np.array([[120.0, 0.0, 54.0], [0.0, 120.0, 70.0], [0.0, 0.0, 1.0]])
VIEWS = {name: affine for name, affine in AFFINES.items() if name != "shrunk"} | {
    "enlarged": np.array([[2.5, 0, -100.0], [0, 2.5, -120.0]]),
    "beside": np.array([[0.5, 0, 500.0], [0, 0.5, 0.0]]),
}


def label(channels: int, valid: npt.NDArray[np.bool_], seed: int) -> Floats:
    values = np.random.default_rng(seed).uniform(0.1, 1, (*SOURCE, channels)).astype(np.float32)
    values[~valid] = 7.0  # anything: it must be seen nowhere
    return values


def settle(kind: type, folder: Path, values: Floats, valid: npt.NDArray[np.bool_], name: str) -> dict:
    (folder / "labels").mkdir(exist_ok=True)
    raster = kind(folder / "labels")
    labels = {raster.key: Field(values, valid), "intrinsics": K}
    return {key: value.numpy() for key, value in warp_rasters([raster], labels, VIEWS[name], SIZE).items()}


def counted(expected: Floats) -> npt.NDArray[np.bool_]:
    return np.isfinite(expected).all(axis=0)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("kind", [AlbedoFolder, DepthFolder])
def test_what_does_not_count_is_zero_and_the_rest_that_of_the_reference(
    name: str, kind: type, tmp_path: Path
) -> None:
    valid, channels = blobs(4), 3 if kind is AlbedoFolder else 1
    values = label(channels, valid, 0)
    found = settle(kind, tmp_path, values, valid, name)
    expected = reference(values, valid, VIEWS[name], SIZE)
    np.testing.assert_array_equal(found["valid"][0], counted(expected))
    np.testing.assert_allclose(found[kind.key], np.where(counted(expected), expected, 0), atol=2e-5)


@pytest.mark.parametrize("name", VIEWS)
def test_normals_are_turned_and_of_length_one(name: str, tmp_path: Path) -> None:
    valid = blobs(5)
    values = label(3, valid, 1)
    values /= np.linalg.norm(values, axis=2, keepdims=True)
    found = settle(NormalFolder, tmp_path, values, valid, name)
    expected = reference(values, valid, VIEWS[name], SIZE)
    turn = warp_intrinsics(torch.from_numpy(K), torch.from_numpy(VIEWS[name]))[1].float()
    turned = rotate_vectors(torch.from_numpy(expected)[None], turn[None])[0].numpy()
    turned = turned / np.linalg.norm(turned, axis=0)
    np.testing.assert_array_equal(found["valid"][0], counted(expected))
    np.testing.assert_allclose(found["normal"], np.where(counted(expected), turned, 0), atol=2e-5)


@pytest.mark.parametrize("name", VIEWS)
def test_points_lie_on_the_rays_of_the_warped_camera(name: str, tmp_path: Path) -> None:
    valid = blobs(6)
    values = label(1, valid, 2)
    found = settle(UnprojectedFolder, tmp_path, values, valid, name)
    expected = reference(values, valid, VIEWS[name], SIZE)
    depth = torch.from_numpy(np.where(counted(expected), expected, 0))
    camera = warp_intrinsics(torch.from_numpy(K), torch.from_numpy(VIEWS[name]))[0].float()
    np.testing.assert_array_equal(found["valid"][0], counted(expected))
    np.testing.assert_allclose(found["pointmap"], unproject(depth[None], camera[None])[0].numpy(), atol=5e-5)


@pytest.mark.parametrize("name", VIEWS)
def test_mattes_are_unknown_outside_the_image_and_foregrounds_nobody(name: str, tmp_path: Path) -> None:
    valid = np.ones(SOURCE, bool)
    alpha, colors = label(1, valid, 3), label(3, valid, 4)
    (tmp_path / "labels").mkdir()
    alphas = AlphaFolder(tmp_path / "labels")
    rasters = [alphas, ForegroundFolder(tmp_path / "labels", alphas)]
    labels = {"alpha": Field(alpha, valid), "foreground": Field(colors, valid)}
    found = warp_rasters(rasters, labels, VIEWS[name], SIZE)
    assert "valid" not in found
    np.testing.assert_allclose(found["alpha"], reference(alpha, valid, VIEWS[name], SIZE), atol=2e-5)
    expected = reference(colors, valid, VIEWS[name], SIZE)
    np.testing.assert_allclose(found["foreground"], np.where(np.isfinite(expected), expected, 0), atol=2e-5)
    for values in found.values():
        assert np.nanmax(values.numpy(), initial=0) <= 1


def test_normals_that_cancel_do_not_count(tmp_path: Path) -> None:
    values = np.zeros((*SOURCE, 3), np.float32)
    values[..., 2] = np.where(np.arange(SOURCE[1]) % 2, 1, -1)
    (tmp_path / "labels").mkdir()
    raster = NormalFolder(tmp_path / "labels")
    between = np.array([[1.0, 0, -0.5], [0, 1.0, 0]])
    found = warp_rasters([raster], {"normal": Field(values, np.ones(SOURCE, bool))}, between, SIZE)
    assert not found["valid"].any()
    assert not found["normal"].any()


def test_normals_have_the_same_bits_wherever_their_arrays_lie(tmp_path: Path) -> None:
    """A run that goes on is bit-equal only if they have."""
    valid = blobs(5)
    values = label(3, valid, 1)
    values /= np.linalg.norm(values, axis=2, keepdims=True)
    first, kept = settle(NormalFolder, tmp_path, values, valid, "turned")["normal"], []
    for size in np.random.default_rng(0).integers(1, 50_000, 40):
        kept.append(np.empty(size, np.uint8))
        np.testing.assert_array_equal(
            settle(NormalFolder, tmp_path, values, valid, "turned")["normal"], first
        )
