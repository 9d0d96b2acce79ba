"""Pictures that are decoded small where they are shown small."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.readers.photograph import Photograph
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.geometric import compose, scaling, translation

SIZE = (96, 72)


def write(path: Path, height: int, width: int) -> Path:
    noise = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 12), None, 0, 255, cv2.NORM_MINMAX)
    assert cv2.imwrite(str(path), picture.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])
    return path


@pytest.mark.parametrize(("scale", "height", "width"), [(0.24, 400, 300), (0.24, 403, 301), (0.12, 801, 603)])
def test_reduced_decoding_changes_pixels_by_little(
    tmp_path: Path, scale: float, height: int, width: int
) -> None:
    path = write(tmp_path / "a.jpg", height, width)
    affine = compose(translation(0.3, -0.2), scaling(scale, scale))
    whole, reduced = (Photograph(path, reduced).warp(affine, SIZE).astype(int) for reduced in (False, True))
    difference = np.abs(whole - reduced)[2:-2, 2:-2]
    assert difference.max() <= 8  # levels of 255, of a smooth picture
    assert difference.mean() < 1.5


def test_nothing_changes_where_the_picture_is_shown_large(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", 120, 90)
    affine = scaling(0.7, 0.7)
    np.testing.assert_array_equal(
        Photograph(path, True).warp(affine, SIZE), Photograph(path, False).warp(affine, SIZE)
    )


def test_damage_is_found_in_what_is_decoded_small(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", 400, 300)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="truncated"):
        Photograph(path, True).warp(scaling(0.2, 0.2), SIZE)
