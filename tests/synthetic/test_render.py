"""All labels of an image say the same: they come from one set of rays."""

from functools import cache

import numpy as np
import pytest

from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.synthetic.render.light import to_linear, to_srgb
from sapiens2_lit.synthetic.render.scene import sample_scene
from sapiens2_lit.vocabularies import load_skeleton

SIZE = (256, 192)
CASES = [(index, (1, 1)) for index in range(8)] + [(index, (2, 3)) for index in range(8, 12)]


@cache
def frame(index: int, people: tuple[int, int]) -> Frame:
    return generate(3, index, SIZE, people)


def smooth(labels: Frame) -> np.ndarray:
    """Pixels (H, W) whose 5 x 5 neighbours lie on one smooth surface: no step in depth, class or normal."""
    inside = labels.valid.copy()
    for rows in range(-2, 3):
        for columns in range(-2, 3):
            shifted = np.roll(labels.normal, (rows, columns), (0, 1))
            inside &= np.roll(labels.valid, (rows, columns), (0, 1))
            inside &= (shifted * labels.normal).sum(2) > 0.9
            inside &= np.abs(np.roll(labels.depth, (rows, columns), (0, 1)) - labels.depth) < 0.03
    inside[:2] = inside[-2:] = inside[:, :2] = inside[:, -2:] = False
    return inside


@pytest.mark.parametrize(("index", "people"), CASES)
def test_points_lie_on_their_pixels_rays(index: int, people: tuple[int, int]) -> None:
    labels = frame(index, people)
    row, column = np.nonzero(labels.valid)
    points = labels.pointmap[labels.valid].astype(np.float64)
    pixels = (points @ labels.intrinsics.T)[:, :2] / points[:, 2:]
    assert np.abs(pixels - np.stack([column, row], axis=1)).max() < 1e-3
    np.testing.assert_array_equal(labels.depth, labels.pointmap[..., 2])


@pytest.mark.parametrize(("index", "people"), CASES)
def test_normals_are_those_of_the_point_map(index: int, people: tuple[int, int]) -> None:
    labels = frame(index, people)
    inside = smooth(labels)
    points = labels.pointmap.astype(np.float64)
    right = np.roll(points, -1, 1) - np.roll(points, 1, 1)
    down = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    normals = np.cross(down, right)[inside]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cosine = (normals * labels.normal[inside]).sum(1)
    assert inside.sum() > 50
    assert np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))) < 1.0
    lengths = np.linalg.norm(labels.normal[labels.valid], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert (labels.normal * labels.pointmap)[labels.valid].sum(1).max() < 1e-6, "normals face the camera"


@pytest.mark.parametrize(("index", "people"), CASES)
def test_one_silhouette(index: int, people: tuple[int, int]) -> None:
    labels = frame(index, people)
    for other in (labels.segmentation > 0, labels.instance > 0, labels.alpha >= 0.5, labels.depth > 0):
        np.testing.assert_array_equal(other, labels.valid)
    assert labels.alpha.min() >= 0 and labels.alpha.max() == 1.0
    assert (labels.foreground <= labels.alpha[..., None] + 1e-6).all(), "premultiplied"
    for person in labels.people:
        row, column = np.nonzero(labels.instance == person.number)
        assert person.area == len(row)
        x, y, width, height = person.box
        assert (x, x + width) == (column.min() - 0.5, column.max() + 0.5)
        assert (y, y + height) == (row.min() - 0.5, row.max() + 0.5)


@pytest.mark.parametrize(("index", "people"), CASES)
def test_image_is_albedo_times_shading_over_the_background(index: int, people: tuple[int, int]) -> None:
    labels, scene = frame(index, people), sample_scene(3, index, SIZE, people)
    inside = smooth(labels)
    normals = labels.normal[inside].astype(np.float64) @ scene.camera.pose[:3, :3]
    shaded = to_srgb(to_linear(labels.albedo[inside].astype(np.float64)) * scene.light.shading(normals))
    assert np.abs(labels.image[inside] / 255 - shaded).max() < 0.6 / 255
    composite = labels.foreground + (1 - labels.alpha[..., None]) * scene.background
    assert np.abs(labels.image / 255 - composite).max() < 0.51 / 255
    assert labels.albedo.min() >= 0 and labels.albedo.max() <= 1


@pytest.mark.parametrize(("index", "people"), CASES)
def test_keypoints_of_all_vocabularies_agree(index: int, people: tuple[int, int]) -> None:
    for person in frame(index, people).people:
        by_name: dict[str, np.ndarray] = {}
        for name, keypoints in person.keypoints.items():
            skeleton = load_skeleton(name)
            assert keypoints.shape == (skeleton.num_keypoints, 3)
            for key, keypoint in zip(skeleton.keypoints, keypoints, strict=True):
                np.testing.assert_array_equal(by_name.setdefault(key, keypoint), keypoint)
            inside = keypoints[:, 2] > 0
            assert (keypoints[inside, :2] >= -0.5).all()
            assert (keypoints[inside, :2] < np.array(SIZE[::-1]) - 0.5).all()
            assert not keypoints[~inside].any()


ON = {
    "nose": {BodyClass.FACE_NECK},
    "left_eye": {BodyClass.FACE_NECK},
    "right_wrist": {BodyClass.RIGHT_HAND, BodyClass.RIGHT_LOWER_ARM, BodyClass.UPPER_CLOTHING},
    "left_wrist": {BodyClass.LEFT_HAND, BodyClass.LEFT_LOWER_ARM, BodyClass.UPPER_CLOTHING},
    "left_middle_finger4": {BodyClass.LEFT_HAND},
    "right_middle_finger4": {BodyClass.RIGHT_HAND},
    "left_big_toe": {BodyClass.LEFT_FOOT, BodyClass.LEFT_SHOE, BodyClass.LEFT_SOCK},
    "right_heel": {BodyClass.RIGHT_FOOT, BodyClass.RIGHT_SHOE, BodyClass.RIGHT_SOCK},
    "l_outer_corner_of_mouth": {BodyClass.FACE_NECK, BodyClass.UPPER_LIP, BodyClass.LOWER_LIP},
}


@pytest.mark.slow
def test_visible_keypoints_lie_on_their_part() -> None:
    """Within two pixels, which is what the pixel grid leaves of fingers."""
    skeleton = load_skeleton("sociopticon308")
    seen = dict.fromkeys(ON, 0)
    for index in range(24):
        labels = generate(4, index, SIZE)
        for person in labels.people:
            for name, classes in ON.items():
                x, y, v = person.keypoints["sociopticon308"][skeleton.keypoints.index(name)]
                if v == 2:
                    row, column = round(y), round(x)
                    around = labels.segmentation[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
                    assert classes & set(around.ravel().tolist()), (index, name)
                    seen[name] += 1
    assert min(seen.values()) >= 2, seen


@pytest.mark.slow
def test_left_and_right_are_anatomical() -> None:
    """The left eye is on the image's right in a face seen from the front; limbs carry their side's class."""
    skeleton, faced = load_skeleton("coco17"), 0
    for index in range(24):
        labels = generate(5, index, SIZE)
        (person,) = labels.people
        points = dict(zip(skeleton.keypoints, person.keypoints["coco17"], strict=True))
        if points["left_eye"][2] == points["right_eye"][2] == points["nose"][2] == 2:
            down = (points["nose"] - (points["left_eye"] + points["right_eye"]) / 2)[:2]
            x, y = (points["left_eye"] - points["right_eye"])[:2]
            assert x * down[1] - y * down[0] > 0, "upright or not"
            faced += 1
        for side, other in (("left", "RIGHT"), ("right", "LEFT")):
            for joint, limb in (
                ("elbow", "UPPER_ARM"),
                ("wrist", "HAND"),
                ("ankle", "SHOE"),
                ("knee", "UPPER_LEG"),
            ):
                x, y, v = points[f"{side}_{joint}"]
                if v == 2:
                    assert (
                        labels.segmentation[min(round(y), SIZE[0] - 1), round(x)]
                        != BodyClass[f"{other}_{limb}"]
                    )
    assert faced >= 6


def test_the_same_seed_and_index_make_the_same_image() -> None:
    first, again = generate(7, 1, (96, 72)), generate(7, 1, (96, 72))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.pointmap, again.pointmap)
    assert (generate(7, 2, (96, 72)).image != first.image).any()
    assert (generate(8, 1, (96, 72)).image != first.image).any()


def test_a_larger_image_shows_the_same_scene() -> None:
    small, large = generate(7, 3, (128, 96)), generate(7, 3, (256, 192))
    overlap = (large.valid[::2, ::2] & small.valid).sum() / (large.valid[::2, ::2] | small.valid).sum()
    assert overlap > 0.8


def test_several_people_hide_each_other() -> None:
    frames = [generate(9, index, SIZE, (3, 3)) for index in range(6)]
    assert max(len(labels.people) for labels in frames) == 3
    occluded = [
        (person.keypoints["coco17"][:, 2] == 1).mean() for labels in frames for person in labels.people
    ]
    assert 0.02 < np.mean(occluded) < 0.8
