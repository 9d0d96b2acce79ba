"""Albedo, mattes and foregrounds from disk: what stands for 1 is never guessed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.labels.color import AlbedoFolder, AlphaFolder, ForegroundFolder
from sapiens2_lit.data.labels.field import FieldFolder
from sapiens2_lit.data.labels.stored_field import Field
from sapiens2_lit.errors import DataError

SIZE = (20, 30)
IMAGE = Path("a.jpg")


def read(folder: FieldFolder, values: np.ndarray, suffix: str = ".npy") -> Field:
    path = folder.folder / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    else:
        cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)
    return folder.read(IMAGE, "a", SIZE)


def test_colors_are_checked(tmp_path):
    albedo = np.random.default_rng(0).random((*SIZE, 3)).astype(np.float32) * 0.9 + 0.05
    albedo[0] = 0
    assert read(AlbedoFolder(tmp_path), albedo).valid.sum() == 570
    with pytest.raises(
        DataError, match=r"values from 0 to 2.\d+, expected 0..1 for floats \(0..255 only as int"
    ):
        read(AlbedoFolder(tmp_path), albedo * 3)
    with pytest.raises(DataError, match=r"values from -"):
        read(AlbedoFolder(tmp_path), albedo - 0.5)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(
        DataError, match=r"a.png: .* 3 channels, expected 1: .*\.convert\(.L.\) .* \(RGBA\) is \.getchannel"
    ):
        read(AlphaFolder(tmp_path), (albedo * 255).astype(np.uint8), ".png")
    deep = read(AlphaFolder(tmp_path), np.full(SIZE, 13107, np.uint16), ".png")
    np.testing.assert_allclose(deep.values, 0.2, atol=1e-6)
    (tmp_path / "foregrounds").mkdir()
    straight = np.full((*SIZE, 3), 200, np.uint8)
    folder = ForegroundFolder(tmp_path / "foregrounds", AlphaFolder(tmp_path))
    with pytest.raises(DataError, match=r"100% of the pixels are brighter than their alpha, .* to false"):
        read(folder, straight, ".png")


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int16, np.uint32])
def test_integers_of_other_widths_are_refused(tmp_path, dtype):
    """Over the largest value of int64, every color would be black."""
    albedo = np.random.default_rng(0).integers(1, 256, (*SIZE, 3))
    expected = read(AlbedoFolder(tmp_path), albedo.astype(np.uint8)).values
    np.testing.assert_allclose(expected, albedo / 255, atol=1e-6)
    name = np.dtype(dtype).name
    with pytest.raises(
        DataError, match=rf"a.npy: the values are {name}, expected floats, or uint8 or uint16"
    ):
        read(AlbedoFolder(tmp_path), albedo.astype(dtype))


def test_an_alpha_of_ones_is_no_alpha_of_a_255th(tmp_path):
    alpha = np.zeros(SIZE, np.uint8)
    alpha[:10] = 1
    with pytest.raises(
        DataError, match=r"a.png: the values are only 0 and 1, in uint8, .* multiply them by 255"
    ):
        read(AlphaFolder(tmp_path), alpha, ".png")
    np.testing.assert_array_equal(read(AlphaFolder(tmp_path), alpha * 255, ".png").values[..., 0], alpha)
    assert not read(AlphaFolder(tmp_path), alpha * 0, ".png").values.any(), "nobody is there"
    (tmp_path / "a.png").unlink()
    np.testing.assert_array_equal(read(AlphaFolder(tmp_path), alpha == 1).values[..., 0], alpha)
