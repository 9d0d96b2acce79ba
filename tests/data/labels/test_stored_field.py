"""Labels warped by parts, planes and integers against all of it in floats with weights."""

import cv2
import numpy as np
import pytest
from plain_fields import AFFINES, SIZE, SOURCE, blobs, reference

from sapiens2_lit.data.labels.stored_field import Encoding, Field
from sapiens2_lit.transforms.geometric import compose, scaling, translation


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_floats_are_those_of_the_reference(name: str, everywhere: bool, channels: int) -> None:
    values = np.random.default_rng(0).random((*SOURCE, channels), dtype=np.float32)
    valid = np.ones(SOURCE, bool) if everywhere else blobs(1)
    found = Field(values, valid).warp(AFFINES[name], SIZE)
    expected = reference(values, valid, AFFINES[name], SIZE)
    if channels == 3 and name != "shrunk":
        np.testing.assert_array_equal(found, expected)
    else:  # OpenCV's sums of one channel, and of blocks, round in another order
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.uint16, 1e-4), (np.uint8, 1 / 255)])
@pytest.mark.parametrize("signed", [True, False])
def test_integers_are_decoded_late(name: str, dtype: type, tolerance: float, signed: bool) -> None:
    """Bit for bit, but where they are averaged as integers: there each mean is rounded to an integer once."""
    most = int(np.iinfo(dtype).max)
    smooth = cv2.blur(np.random.default_rng(0).random((*SOURCE, 3)), (9, 9))
    stored, valid = np.rint(smooth * most).astype(dtype), blobs(2)
    encoding = Encoding(most, signed, (1, -1, -1) if signed else ())
    found = Field(stored, valid, 0, encoding).warp(AFFINES[name], SIZE)
    expected = reference(encoding.decode(stored), valid, AFFINES[name], SIZE)
    if name == "shrunk":
        tolerance = tolerance * (2 if signed else 1)
        differ = np.isnan(found) != np.isnan(expected)  # shares of exactly one half are rounded, too
        assert differ.mean() < 1e-3
        np.testing.assert_allclose(found[~differ], expected[~differ], atol=tolerance)
    else:
        np.testing.assert_array_equal(found, expected)


def test_a_part_that_is_cut_out_is_that_of_the_whole() -> None:
    """Within the rounding of OpenCV's coordinates, which begin at another pixel."""
    values = cv2.blur(np.random.default_rng(0).random((*SOURCE, 3), dtype=np.float32), (5, 5))
    zoomed = compose(translation(-100.0, -120.0), scaling(2.5, 2.5))
    valid = blobs(3)
    found, expected = Field(values, valid).warp(zoomed, SIZE), reference(values, valid, zoomed, SIZE)
    differ = np.isnan(found) != np.isnan(expected)
    assert differ.mean() < 1e-3
    np.testing.assert_allclose(found[~differ], expected[~differ], atol=1e-4)


@pytest.mark.parametrize("shrink", [(2.2, 2.2), (3.7, 3.7), (5.0, 2.4)])
@pytest.mark.parametrize("stored", ["floats", "integers"])
def test_averages_of_a_part_are_those_of_the_whole(shrink: tuple[float, float], stored: str) -> None:
    """Only where labels are valid is it averaged, in the same blocks; OpenCV rounds other coordinates."""
    random = np.random.default_rng(0)
    values, valid = random.random((*SOURCE, 3), dtype=np.float32), np.zeros(SOURCE, bool)
    valid[71:149, 13:60] = blobs(4)[71:149, 13:60]
    encoding = None
    if stored == "integers":
        values, encoding = np.rint(values * 65535).astype(np.uint16), Encoding(65535, True)
    across, down = shrink
    affine = compose(translation(SIZE[1] / 2, 3.0), scaling(-1 / across, 1 / down))
    whole = Field(values, valid, 0, encoding)
    whole.box = (slice(0, SOURCE[0]), slice(0, SOURCE[1]))
    found = Field(values, valid, 0, encoding).warp(affine, SIZE)
    assert 20 < np.isfinite(found[0]).sum() < found[0].size / 4
    np.testing.assert_allclose(found, whole.warp(affine, SIZE), atol=1e-5)
