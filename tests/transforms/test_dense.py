"""Random views and pixels of dense tasks: they keep to their settings, and to the generator."""

import dataclasses
import pickle

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.dense import (
    COLORLESS,
    RELEASED,
    RELEASED_POINTMAP,
    DenseAugmentation,
    ViewAugmentation,
)
from sapiens2_lit.transforms.geometric import apply_affine, invert, is_mirrored
from sapiens2_lit.transforms.pixels import Resample, Solarize
from sapiens2_lit.transforms.whole_image import fit_affine

STILL = {"flip": 0, "scale_probability": 0, "crop": 0, "noise": 0}
IMAGE, SIZE = (200, 120), (64, 48)


def affines(augment: ViewAugmentation, count: int = 300) -> list[np.ndarray]:
    return [augment.choose(IMAGE, SIZE, {}, np.random.default_rng(seed)) for seed in range(count)]


def zoom(affine: np.ndarray) -> float:
    return float(np.sqrt(abs(np.linalg.det(affine[:, :2]))) / fit_affine(IMAGE, SIZE)[0, 0])


def test_probabilities_are_those_of_the_released_recipe():
    found = affines(RELEASED, 1000)
    assert np.mean([is_mirrored(affine) for affine in found]) == pytest.approx(0.3, abs=0.05)
    plain = fit_affine(IMAGE, SIZE)
    same = np.mean([np.allclose(np.abs(affine[:, :2]), plain[:, :2]) for affine in found])
    assert same == pytest.approx(0.7 * 0.7, abs=0.05), "neither scaled nor cropped"
    zooms = [zoom(affine) for affine in affines(ViewAugmentation(crop=0, scale_probability=1))]
    assert 0.5 <= min(zooms) < 0.55
    assert 1.9 < max(zooms) <= 2
    assert all(np.allclose(affine[0, 1], 0) for affine in found), "the released recipe does not rotate"
    turned = affines(ViewAugmentation(rotation=30, rotation_probability=1))
    degrees = [np.degrees(np.arctan2(affine[1, 0], affine[1, 1])) for affine in turned]
    assert 27 < np.abs(degrees).max() <= 30.001


def test_crops_show_their_rectangle_as_large_as_it_fits():
    augment = ViewAugmentation(**STILL | {"crop": 1}, crop_area=(0.5, 0.5), crop_aspect=(0.6, 0.6))
    for affine in affines(augment, 50):
        assert zoom(affine) == pytest.approx(np.sqrt(2), rel=0.02), "of the image's own aspect, half its area"
        middle = apply_affine(invert(affine), np.array([[23.5, 31.5]]))[0]
        assert 0 <= middle[0] < IMAGE[1]
        assert 0 <= middle[1] < IMAGE[0]
    wide = ViewAugmentation(**STILL | {"crop": 1}, crop_area=(0.4, 0.4), crop_aspect=(2, 2))
    width = 120  # 0.4 x 200 x 120 at 2 : 1 would be wider than the image
    assert all(
        zoom(affine) * fit_affine(IMAGE, SIZE)[0, 0] == pytest.approx(48 / width)
        for affine in affines(wide, 20)
    )


def test_pixels_depend_on_the_generator_alone_and_albedo_keeps_its_colors():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    for augment in (RELEASED, COLORLESS):
        pixels = pickle.loads(pickle.dumps(augment)).build_pixels()
        for seed in range(20):
            once = pixels(image, np.random.default_rng(seed))
            assert once.shape == image.shape
            assert once.dtype == np.uint8
            np.testing.assert_array_equal(pixels(image, np.random.default_rng(seed)), once)
    flat = np.full((64, 64, 3), (200, 120, 40), np.uint8)
    colors = [
        COLORLESS.build_pixels()(flat, np.random.default_rng(seed)).mean(axis=(0, 1)) for seed in range(40)
    ]
    assert np.abs(np.array(colors) - (200, 120, 40)).max() < 0.5
    changed = [
        RELEASED.build_pixels()(flat, np.random.default_rng(seed)).mean(axis=(0, 1)) for seed in range(40)
    ]
    assert np.abs(np.array(changed) - (200, 120, 40)).max() > 30


def test_point_maps_have_the_views_of_normals_and_fewer_changes_of_pixels():
    for field in ("flip", "scale", "scale_probability", "crop", "crop_area", "crop_aspect", "photometric"):
        assert getattr(RELEASED_POINTMAP, field) == getattr(RELEASED, field)
    assert [getattr(RELEASED_POINTMAP, field) for field in ("blur", "noise", "resample", "solarize")] == [
        0
    ] * 4
    assert [getattr(RELEASED, field) for field in ("blur", "noise", "resample", "solarize")] == [
        0.3,
        0.3,
        0.2,
        0.3,
    ]
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    colorless = dataclasses.replace(RELEASED_POINTMAP, photometric=0)
    for seed in range(20):
        np.testing.assert_array_equal(colorless.build_pixels()(image, np.random.default_rng(seed)), image)


def test_resampling_blurs_in_place_and_solarising_inverts_what_is_bright():
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.linspace(0, 255, 80).astype(np.uint8)[None, :, None], (60, 80, 3)).copy()
    blurred = Resample(1, (0.3, 0.3))(ramp, rng)
    assert np.abs(blurred.astype(int) - ramp)[:, 4:-4].max() <= 3, "nothing moves"
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert Resample(1, (0.3, 0.3))(noise, rng).std() < 0.5 * noise.std()
    np.testing.assert_array_equal(Resample(0, (0.3, 0.3))(noise, rng), noise)
    solar = Solarize(1)(ramp, rng)
    np.testing.assert_array_equal(solar, np.minimum(ramp, 255 - ramp))
    chances = [
        not np.array_equal(Solarize(0.3)(ramp, np.random.default_rng(seed)), ramp) for seed in range(300)
    ]
    assert np.mean(chances) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": 2}, "augment.flip is 2"),
        ({"crop": -1}, "augment.crop is -1"),
        ({"scale": (0, 1)}, "augment.scale is .*, expected 0 < smallest <= largest"),
        ({"crop_aspect": (2, 1)}, "augment.crop_aspect is"),
        ({"crop_area": (0.5, 1.5)}, "augment.crop_area is .*, expected 0 < smallest <= largest <= 1"),
        ({"resample_size": (0, 1)}, "augment.resample_size is"),
        ({"solarize": 3}, "augment.solarize is 3"),
        ({"noise_variance": (-1, 1)}, "augment.noise_variance is .*, expected 0 <= smallest"),
        ({"rotation": 200}, "augment.rotation is 200"),
        ({"hue": 0.7}, "augment.hue is 0.7"),
    ],
)
def test_impossible_settings_name_the_field(settings, message):
    with pytest.raises(SettingError, match=message):
        DenseAugmentation(**settings)
