"""Crops around people and their variation."""

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.crop import (
    CropAugmentation,
    CropVariation,
    body_halves,
    crop_affine,
    half_body_box,
)
from sapiens2_lit.transforms.geometric import apply_affine, invert, is_mirrored
from sapiens2_lit.vocabularies import load_skeleton

SIZE = (256, 192)


@pytest.mark.parametrize("box", [(10, 20, 30, 100), (10, 20, 200, 50), (-5.5, 3.25, 60, 80)])
def test_the_padded_box_fills_the_input_in_one_direction(box):
    x, y, w, h = box
    corners = np.array([[x - w / 8, y - h / 8], [x + w * 9 / 8, y + h * 9 / 8]])
    low, high = apply_affine(crop_affine(box, SIZE), corners)
    np.testing.assert_allclose(low + high, [191, 255], atol=1e-9)  # centred
    assert low.min() == pytest.approx(0, abs=1e-9)
    assert low.max() >= 0


def test_scale_above_one_makes_the_person_smaller_and_shift_moves_it():
    box = (100, 100, 75, 100)
    points = np.array([[100.0, 100.0], [175.0, 200.0]])
    plain = np.ptp(apply_affine(crop_affine(box, SIZE), points), axis=0)
    small = np.ptp(apply_affine(crop_affine(box, SIZE, CropVariation(scale=1.5)), points), axis=0)
    np.testing.assert_allclose(small * 1.5, plain)
    center = np.array([[137.5, 150.0]])
    moved = apply_affine(crop_affine(box, SIZE, CropVariation(shift=(0.16, -0.1))), center)[0]
    np.testing.assert_allclose(moved, [191 * (0.5 - 0.16), 255 * (0.5 + 0.1)], atol=1e-9)


def test_rotation_keeps_the_centre_and_flip_mirrors_about_it():
    box = (100, 100, 75, 100)
    center = np.array([137.5, 150.0])
    turned = crop_affine(box, SIZE, CropVariation(rotation=63))
    np.testing.assert_allclose(apply_affine(turned, center), [95.5, 127.5])
    flipped = crop_affine(box, SIZE, CropVariation(rotation=63, flip=True))
    assert is_mirrored(flipped)
    assert not is_mirrored(turned)
    points = np.random.default_rng(0).uniform(0, 200, (5, 2))
    one, other = apply_affine(turned, points), apply_affine(flipped, points)
    np.testing.assert_allclose(other, np.stack([191 - one[:, 0], one[:, 1]], axis=1), atol=1e-9)
    np.testing.assert_allclose(apply_affine(invert(flipped), other), points, atol=1e-9)


def test_sampling_respects_ranges_and_probabilities():
    settings = CropAugmentation()
    rng = np.random.default_rng(0)
    drawn = [settings.sample_crop(rng) for _ in range(4000)]
    assert np.mean([crop.flip for crop in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([crop.half_body is not None for crop in drawn]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([crop.shift != (0, 0) for crop in drawn]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([crop.rotation != 0 for crop in drawn]) == pytest.approx(0.6, abs=0.04)
    rotations, scales = [crop.rotation for crop in drawn], [crop.scale for crop in drawn]
    assert 78 < max(rotations) <= 80
    assert -80 <= min(rotations) < -78
    assert 0.5 <= min(scales) < 0.51
    assert 1.49 < max(scales) <= 1.5
    assert max(abs(part) for crop in drawn for part in crop.shift) <= 0.16
    off = CropAugmentation(0, 0, 0, 0, (1, 1), 0, 0)
    assert off.sample_crop(rng) == CropVariation()


def test_changing_one_setting_leaves_the_other_draws_alone():
    one = CropAugmentation().sample_crop(np.random.default_rng(5))
    other = CropAugmentation(flip=0.0, half_body=0.0).sample_crop(np.random.default_rng(5))
    assert (one.shift, one.scale, one.rotation) == (other.shift, other.scale, other.rotation)


@pytest.mark.parametrize("name", ["coco17", "coco_wholebody133", "sociopticon308"])
def test_halves_split_the_body_at_the_hips(name: str):
    skeleton = load_skeleton(name)
    halves = body_halves(skeleton)
    upper = {skeleton.keypoints[index] for index in halves["upper"]}
    lower = {skeleton.keypoints[index] for index in halves["lower"]}
    assert {"nose", "left_wrist", "right_shoulder"} <= upper
    assert {"left_hip", "right_knee", "left_ankle"} <= lower
    assert not upper & lower
    assert len(upper | lower) <= 30, "faces and hands would outweigh the body"


def test_half_body_box_needs_enough_labels():
    skeleton = load_skeleton("coco17")
    halves = body_halves(skeleton)
    points = np.zeros((17, 3))
    points[:, 0] = np.arange(17) * 3
    points[:, 1] = np.arange(17) * 10
    points[:, 2] = 2
    box = half_body_box(points, halves, "lower")
    assert box is not None
    np.testing.assert_allclose(box, [33, 110, 15, 50])
    points[12:, 2] = 0
    assert half_body_box(points, halves, "lower") is None
    assert half_body_box(points, halves, "upper") is not None
    points[3:, 2] = 0
    assert half_body_box(points, halves, "upper") is None
    assert half_body_box(points, {}, "upper") is None


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"flip": 1.5}, "flip"),
        ({"scale": (0, 1)}, "scale"),
        ({"rotation": -3}, "rotation"),
        ({"shift": 2}, "shift"),
    ],
)
def test_impossible_settings_name_the_field(settings, field):
    with pytest.raises(SettingError, match=f"augment.{field} is"):
        CropAugmentation(**settings)
