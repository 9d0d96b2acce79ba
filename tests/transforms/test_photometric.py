"""Pixel augmentation depends on its generator alone."""

import pickle

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms import PhotometricAugmentation, PoseAugmentation
from sapiens2_lit.transforms.photometric import turn_hue
from sapiens2_lit.transforms.pixels import channels_first


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rows, columns = np.mgrid[:96, :72]
    return np.stack([rows + 100, columns + 150, 255 - rows], axis=2).astype(np.uint8)


def test_same_generator_same_pixels_and_another_others(image):
    augment = PhotometricAugmentation().build_pixels()
    one = augment(image, np.random.default_rng(1))
    np.testing.assert_array_equal(augment(image, np.random.default_rng(1)), one)
    copy = pickle.loads(pickle.dumps(augment))  # as workers get it
    np.testing.assert_array_equal(copy(image, np.random.default_rng(1)), one)
    assert (augment(image, np.random.default_rng(2)) != one).any()


def test_the_dropped_rectangle_has_the_released_size(image):
    augment = PhotometricAugmentation(photometric=0, blur=0, median_blur=0).build_pixels()
    for seed in range(20):
        changed = (augment(image, np.random.default_rng(seed)) != image).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), "one full rectangle"
        assert 0.2 * 96 - 1 <= len(rows) <= 0.4 * 96 + 1
        assert 0.2 * 72 - 1 <= len(columns) <= 0.4 * 72 + 1


def test_everything_off_changes_nothing(image):
    augment = PhotometricAugmentation(photometric=0, blur=0, median_blur=0, dropout=0).build_pixels()
    assert augment(image, np.random.default_rng(0)) is image


def test_photometric_strength_keeps_the_picture(image):
    augment = PhotometricAugmentation(photometric=1, blur=0, median_blur=0, dropout=0).build_pixels()
    changes = [np.abs(augment(image, np.random.default_rng(s)).astype(int) - image).mean() for s in range(30)]
    assert 3 < np.median(changes) < 60


@pytest.mark.parametrize("turn", [-0.5, -0.07, 0.0, 0.03, 0.5])
def test_hues_are_those_of_albumentations(turn):
    from albumentations.augmentations.pixel.functional import adjust_hue_torchvision

    colors = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(turn_hue(colors, turn), adjust_hue_torchvision(colors, turn))


def test_colors_are_those_of_albumentations(image):
    import albumentations

    settings = PhotometricAugmentation(photometric=1, blur=0, median_blur=0, dropout=0)
    plain = albumentations.Compose(
        [
            albumentations.ColorJitter(
                brightness=(1 - settings.brightness, 1 + settings.brightness),
                contrast=(1 - settings.contrast, 1 + settings.contrast),
                saturation=(1 - settings.saturation, 1 + settings.saturation),
                hue=(-settings.hue, settings.hue),
                p=1,
            )
        ]
    )
    for seed in range(10):
        plain.set_random_seed(int(np.random.default_rng(seed).integers(2**32)))
        found = settings.build_pixels()(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(found, plain(image=image)["image"])


@pytest.mark.parametrize("field", ["photometric", "dropout", "hue", "dropout_size"])
def test_impossible_settings_name_the_field(field):
    value = (0.5, 0.2) if field == "dropout_size" else 1.5
    with pytest.raises(SettingError, match=f"augment.{field} is"):
        PoseAugmentation(**{field: value})


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channels_come_first_in_any_dtype(image, dtype):
    found = channels_first(image.astype(dtype))
    assert found.numpy().dtype == dtype
    np.testing.assert_array_equal(found.numpy(), image.transpose(2, 0, 1))
