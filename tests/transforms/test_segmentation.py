"""Views of whole images: what is seen of them, and how often."""

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.geometric import apply_affine, is_mirrored, warp_labels
from sapiens2_lit.transforms.segmentation import SegmentationAugmentation, largest_share
from sapiens2_lit.transforms.whole_image import WholeImageVariation, fit_affine

KEEP = np.arange(256, dtype=np.uint8)
STILL = {"flip": 0, "scale": (1, 1), "rotation": 0, "photometric": 0, "blur": 0, "noise": 0, "mixed": 0}


def seen(image_size, size, variation) -> np.ndarray:
    """Where an image of ones lies in the input."""
    affine = fit_affine(image_size, size, variation)
    return warp_labels(np.ones(image_size, np.uint8), affine, size, KEEP, outside=0)


@pytest.mark.parametrize("image_size", [(100, 50), (50, 100), (300, 400), (64, 48), (30, 31)])
def test_the_plain_view_shows_the_whole_image_in_the_middle(image_size):
    size = (64, 48)
    affine = fit_affine(image_size, size)
    height, width = image_size
    corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])  # of the pixels' area
    (left, top), (right, bottom) = apply_affine(affine, corners)
    assert affine[0, 0] == affine[1, 1] > 0, "aspect kept"
    assert min(left + 0.5, top + 0.5) == pytest.approx(0), "one side fills the input"
    assert left + right == pytest.approx(size[1] - 1)
    assert top + bottom == pytest.approx(size[0] - 1)


@pytest.mark.parametrize("place", [(-1, -1), (1, 1), (0.3, -0.7)])
def test_small_images_lie_within_and_large_ones_fill_the_input(place):
    small = seen((64, 48), (64, 48), WholeImageVariation(scale=0.5, place=place))
    assert small.sum() == pytest.approx(32 * 24, rel=0.05)
    assert seen((64, 48), (64, 48), WholeImageVariation(scale=2.0, place=place)).all()


@pytest.mark.parametrize("image_size", [(400, 100), (100, 400), (64, 48)])
def test_some_of_the_image_is_always_seen(image_size):
    augment = SegmentationAugmentation(rotation=180, rotation_probability=1)
    for seed in range(50):
        view = augment.sample_view(np.random.default_rng(seed))
        assert seen(image_size, (64, 48), view).mean() > 0.01


def test_flips_mirror_the_view():
    labels = np.random.default_rng(0).integers(0, 5, (64, 48), dtype=np.uint8)
    views = [
        warp_labels(labels, fit_affine(labels.shape, (64, 48), variation), (64, 48), KEEP, outside=9)
        for variation in (WholeImageVariation(), WholeImageVariation(flip=True))
    ]
    np.testing.assert_array_equal(views[1], views[0][:, ::-1])


def test_draws_keep_within_the_settings():
    augment = SegmentationAugmentation()
    views = [augment.sample_view(np.random.default_rng(seed)) for seed in range(400)]
    scales = np.array([view.scale for view in views])
    assert 0.4 <= scales.min() < 0.45
    assert 1.95 < scales.max() <= 2.0
    assert np.mean([view.flip for view in views]) == pytest.approx(0.5, abs=0.1)
    turned = [view.rotation for view in views if view.rotation]
    assert len(turned) / len(views) == pytest.approx(0.5, abs=0.1)
    assert 50 < max(turned) <= 60


def test_mixed_views_have_no_class_that_takes_too_much():
    labels = np.zeros((120, 100), np.uint8)
    labels[:, 70:] = 3
    settings = STILL | {"scale": (2, 2)}
    shares = {}
    for mixed in (0, 1):
        augment = SegmentationAugmentation(**settings | {"mixed": mixed})
        affines = [
            augment.choose(labels.shape, (60, 50), {"segmentation": labels}, np.random.default_rng(seed))
            for seed in range(40)
        ]
        shares[mixed] = np.array([largest_share(labels, affine, (60, 50)) for affine in affines])
    assert (shares[0] > 0.75).mean() > 0.3, "else the test tests nothing"
    assert (shares[1] > 0.75).mean() < 0.1, "only where ten views found none"


def test_noise_has_the_variance_that_was_set_and_depends_on_the_generator_alone():
    pixels = SegmentationAugmentation(**STILL | {"noise": 1, "noise_variance": (16, 16)}).build_pixels()
    grey = np.full((100, 100, 3), 128, np.uint8)
    noisy = pixels(grey, np.random.default_rng(1))
    assert noisy.astype(float).var() == pytest.approx(16, rel=0.05)
    np.testing.assert_array_equal(pixels(grey, np.random.default_rng(1)), noisy)
    still = SegmentationAugmentation(**STILL)
    np.testing.assert_array_equal(still.build_pixels()(grey, np.random.default_rng(1)), grey)
    affine = still.choose((64, 48), (64, 48), {}, np.random.default_rng(1))
    np.testing.assert_allclose(affine, [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    assert not is_mirrored(affine)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": 2}, "augment.flip is 2"),
        ({"mixed": -1}, "augment.mixed is -1"),
        ({"largest_share": 0}, "augment.largest_share is 0"),
        ({"noise_variance": (20, 5)}, "augment.noise_variance is"),
        ({"scale": (0, 1)}, "augment.scale is"),
        ({"rotation": 200}, "augment.rotation is 200"),
    ],
)
def test_impossible_settings_name_the_field(settings, message):
    with pytest.raises(SettingError, match=message):
        SegmentationAugmentation(**settings)
