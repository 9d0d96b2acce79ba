"""Points follow pixels, whatever the affine."""

import cv2
import numpy as np
import pytest

from sapiens2_lit.transforms.crop import CropVariation, crop_affine
from sapiens2_lit.transforms.geometric import (
    apply_affine,
    compose,
    invert,
    is_mirrored,
    mirror,
    resizing,
    rotation,
    scaling,
    translation,
    warp_image,
    warp_labels,
    warp_points,
)


def blob_image(points: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """One Gaussian blob a point, each alone in its own image."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    squared = (columns - points[0]) ** 2 + (rows - points[1]) ** 2
    grey = np.round(255 * np.exp(-squared / (2 * sigma**2))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def random_affine(rng: np.random.Generator) -> np.ndarray:
    variation = CropVariation(
        flip=bool(rng.random() < 0.5),
        shift=(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)),
        scale=rng.uniform(0.8, 1.5),
        rotation=rng.uniform(-180, 180),
    )
    return crop_affine((70, 60, rng.uniform(60, 160), rng.uniform(60, 160)), (128, 96), variation)


def test_inverse_undoes_and_composition_associates():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = random_affine(rng), random_affine(rng)
        points = rng.uniform(-50, 300, (10, 2))
        np.testing.assert_allclose(
            apply_affine(invert(first), apply_affine(first, points)), points, atol=1e-9
        )
        np.testing.assert_allclose(
            apply_affine(compose(first, second), points),
            apply_affine(first, apply_affine(second, points)),
            atol=1e-9,
        )


def test_mirroring_twice_is_the_identity_for_image_and_points():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    points = np.concatenate([rng.uniform(0, 29, (4, 2)), np.full((4, 1), 2)], axis=1).astype(np.float32)
    swap = [1, 0, 2, 3]
    flip = mirror(30)
    once = warp_image(image, flip, (40, 30))
    np.testing.assert_array_equal(once, image[:, ::-1])
    np.testing.assert_array_equal(warp_image(once, flip, (40, 30)), image)
    twice = warp_points(warp_points(points, flip, (40, 30), swap), flip, (40, 30), swap)
    np.testing.assert_allclose(twice, points, atol=1e-5)


def test_mirroring_swaps_left_and_right_and_turning_does_not():
    points = np.array([[5, 5, 2], [20, 6, 1]], dtype=np.float32)
    flipped = warp_points(points, mirror(30), (30, 30), [1, 0])
    np.testing.assert_allclose(flipped, [[29 - 20, 6, 1], [29 - 5, 5, 2]])
    half_turn = compose(translation(29, 29), rotation(180))
    assert not is_mirrored(half_turn)
    np.testing.assert_allclose(warp_points(points, half_turn, (30, 30), [1, 0]), [[24, 24, 2], [9, 23, 1]])


@pytest.mark.parametrize("seed", range(12))
def test_points_follow_pixels(seed: int):
    rng = np.random.default_rng(seed)
    affine = random_affine(rng)
    size = (128, 96)
    target = rng.uniform(20, 75, 2)
    source = apply_affine(invert(affine), target)
    extent = int(np.ceil(source.max())) + 60
    shift = translation(*np.maximum(0, np.ceil(60 - source)))  # keep the whole blob inside the source image
    affine, source = compose(affine, invert(shift)), apply_affine(shift, source)
    extent = int(np.ceil(source.max())) + 60
    image = blob_image(source, (extent, extent), sigma=2.5)
    warped = warp_image(image, affine, size)
    expected = warp_points(np.array([[*source, 2]], dtype=np.float64), affine, size, [0])
    np.testing.assert_allclose(expected[0, :2], target, atol=1e-3)
    np.testing.assert_allclose(centroid(warped), target, atol=0.1)


@pytest.mark.parametrize("shrink", [2.5, 5.0, 7.3])
@pytest.mark.parametrize("seed", range(3))
def test_points_follow_pixels_when_shrunk(shrink: float, seed: int):
    rng = np.random.default_rng(seed)
    affine = compose(translation(48, 64), scaling(1 / shrink, 1 / shrink), rotation(rng.uniform(-90, 90)))
    affine = compose(affine, translation(-401.3, -399.8))
    if seed == 2:
        affine = compose(mirror(96), affine)
    target = rng.uniform(30, 65, 2)
    source = apply_affine(invert(affine), target)
    warped = warp_image(blob_image(source, (801, 797), sigma=2.0 * shrink), affine, (128, 96))
    np.testing.assert_allclose(centroid(warped), target, atol=0.1)


def test_shrinking_does_not_alias():
    rows, columns = np.mgrid[:600, :600]
    checkers = np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    radius = (columns - 300.0) ** 2 + (rows - 300.0) ** 2
    zones = np.round(127.5 + 127.5 * np.cos(np.pi * radius / 600)).astype(np.uint8)  # to Nyquist at the edge
    zones = np.repeat(zones[..., None], 3, axis=2)
    affine = compose(translation(60, 60), scaling(0.2, 0.2), rotation(20), translation(-300, -300))
    naive = cv2.warpAffine(checkers, affine, (120, 120), flags=cv2.INTER_LINEAR)[30:90, 30:90]
    assert naive.std() > 20, "without reduction this pattern must alias, else the test tests nothing"
    flat = warp_image(checkers, affine, (120, 120))[30:90, 30:90]
    assert abs(flat.mean() - 127.5) < 1
    assert flat.std() < 5
    warped = warp_image(zones, affine, (120, 120))[..., 0].astype(float)
    out_rows, out_columns = np.mgrid[:120, :120]
    ring = np.hypot(out_rows - 60, out_columns - 60)
    fine = warped[(ring > 30) & (ring < 55)]  # source frequencies over 0.25 cycles a pixel
    assert abs(fine.mean() - 127.5) < 3
    assert fine.std() < 15
    coarse = warped[ring < 8]
    assert coarse.std() > 60, "what the output can show must survive"


def test_reduction_agrees_with_area_resizing():
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8), (0, 0), 4)
    by_resize = cv2.resize(image, (100, 75), interpolation=cv2.INTER_AREA)
    by_warp = warp_image(image, resizing(0.25, 0.25), (75, 100))
    assert np.abs(by_resize.astype(int) - by_warp).max() <= 1


def test_border_is_the_constant_or_the_mean():
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    image[...] = (10, 100, 200)
    away = translation(40, 0)
    assert not warp_image(image, away, (20, 20)).any()
    np.testing.assert_array_equal(warp_image(image, away, (20, 20), border_value=(1, 2, 3))[5, 5], (1, 2, 3))
    np.testing.assert_array_equal(warp_image(image, away, (20, 20), border_value=None)[5, 5], (10, 100, 200))
    far = compose(translation(500, 0), scaling(0.2, 0.2))
    np.testing.assert_array_equal(warp_image(image, far, (20, 20), border_value=7)[5, 5], (7, 7, 7))


def test_points_outside_the_input_or_unlabelled_are_zero():
    points = np.array([[5, 5, 2], [5, 5, 0], [-0.6, 5, 2], [9.6, 5, 2], [5, 19.6, 1], [-0.4, 19.4, 1]])
    warped = warp_points(points, scaling(1, 1), (20, 10), range(6))
    np.testing.assert_allclose(warped[:, 2], [2, 0, 0, 0, 0, 1])
    assert not warped[1:5].any()
    assert warped.dtype == np.float32


@pytest.mark.parametrize("seed", range(6))
def test_labels_are_those_under_each_pixels_centre(seed: int):
    rng = np.random.default_rng(seed)
    affine = random_affine(rng)
    labels = np.kron(rng.integers(0, 9, (30, 25), dtype=np.uint8), np.ones((8, 8), np.uint8))
    swap = rng.permutation(256).astype(np.uint8)
    warped = warp_labels(labels, affine, (128, 96), swap, outside=200)
    rows, columns = np.mgrid[:128, :96]
    source = apply_affine(invert(affine), np.stack([columns, rows], axis=-1).astype(np.float64))
    x, y = np.rint(source).astype(int).transpose(2, 0, 1)
    inside = (x >= 0) & (x < labels.shape[1]) & (y >= 0) & (y < labels.shape[0])
    expected = np.where(inside, labels[y.clip(0, labels.shape[0] - 1), x.clip(0, labels.shape[1] - 1)], 200)
    expected = swap[expected] if is_mirrored(affine) else expected
    near_edge = (np.abs(source % 1 - 0.5) < 0.01).any(axis=-1)  # OpenCV counts in 1/1024 pixels
    assert inside.mean() > 0.2, "else little is tested"
    assert near_edge.mean() < 0.1
    np.testing.assert_array_equal(warped[~near_edge], expected[~near_edge])


def test_mirroring_labels_twice_is_the_identity_and_once_swaps():
    labels = np.random.default_rng(2).integers(0, 4, (40, 30), dtype=np.uint8)
    swap = np.arange(256, dtype=np.uint8)
    swap[[1, 2]] = 2, 1
    once = warp_labels(labels, mirror(30), (40, 30), swap, outside=255)
    np.testing.assert_array_equal(once, swap[labels[:, ::-1]])
    np.testing.assert_array_equal(warp_labels(once, mirror(30), (40, 30), swap, outside=255), labels)


@pytest.mark.parametrize("seed", range(4))
def test_labels_and_image_stay_together(seed: int):
    """A disc in the image and its mask, warped apart, still agree but for the rim."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:300, :260]
    mask = ((columns - 130) ** 2 + (rows - 140) ** 2 < 80**2).astype(np.uint8)
    image = np.repeat(255 * mask[..., None], 3, axis=2)
    affine = crop_affine(
        (40, 50, 180, 190), (128, 96), CropVariation(rotation=rng.uniform(-180, 180), flip=seed > 1)
    )
    by_label = warp_labels(mask, affine, (128, 96), np.arange(256, dtype=np.uint8), outside=0)
    by_image = warp_image(image, affine, (128, 96))[..., 0]
    rim = (by_image > 0) & (by_image < 255)
    assert by_label.sum() > 1000
    assert rim.mean() < 0.1
    np.testing.assert_array_equal(by_label[~rim] == 1, by_image[~rim] == 255)
