"""Pictures: what is drawn where, and that nothing else changes."""

import cv2
import numpy as np
import pytest

from sapiens2_lit.visualization.draw import contact_sheet, draw_keypoints, draw_segmentation, side_by_side
from sapiens2_lit.vocabularies import load_classes, load_skeleton


@pytest.fixture
def image():
    return np.full((120, 160, 3), 128, np.uint8)


def pose(skeleton, score=1.0):
    rng = np.random.RandomState(0)
    points = rng.rand(skeleton.num_keypoints, 2) * [100, 60] + 30
    return np.concatenate([points, np.full((skeleton.num_keypoints, 1), score)], axis=1)


@pytest.mark.parametrize("name", ["coco17", "coco_wholebody133", "sociopticon308"])
def test_draws_inside_the_person_and_leaves_the_image_alone(image, name):
    skeleton = load_skeleton(name)
    before = image.copy()
    picture = draw_keypoints(image, pose(skeleton), skeleton)
    changed = (picture != before).any(axis=2)
    assert (image == before).all() and picture.dtype == np.uint8 and picture.shape == image.shape
    assert changed.sum() > 50
    assert not changed[:20].any() and not changed[:, :20].any()


def test_dots_have_the_keypoints_colors(image):
    skeleton = load_skeleton("coco17")
    keypoints = np.full((17, 3), np.nan)
    keypoints[5], keypoints[6] = (40, 50, 1), (110, 80, 1)  # shoulders
    picture = draw_keypoints(image, keypoints, skeleton, radius=4)
    assert tuple(picture[50, 40]) == skeleton.colors[5]
    assert tuple(picture[80, 110]) == skeleton.colors[6]
    assert (picture[65, 75] != 128).any()  # the link between them


@pytest.mark.parametrize("score, threshold", [(0.29, 0.3), (0.0, 0.0), (np.nan, 0.3)])
def test_what_scores_too_little_is_not_drawn(image, score, threshold):
    skeleton = load_skeleton("coco17")
    picture = draw_keypoints(image, pose(skeleton, score), skeleton, threshold=threshold)
    assert (picture == image).all()


def test_points_without_scores_and_points_far_outside(image):
    skeleton = load_skeleton("coco17")
    assert (draw_keypoints(image, pose(skeleton)[:, :2], skeleton) != image).any()
    outside = pose(skeleton)
    outside[:, :2] = [[1e9, -1e12]]
    assert (draw_keypoints(image, outside, skeleton) == image).all()


def test_dots_grow_with_the_picture():
    skeleton = load_skeleton("coco17")
    shares = []
    for scale in (1, 4):
        canvas = np.zeros((240 * scale, 320 * scale, 3), np.uint8)
        keypoints = pose(skeleton) * [2 * scale, 2 * scale, 1]
        shares.append((draw_keypoints(canvas, keypoints, skeleton) > 0).any(axis=2).mean())
    assert 0.5 < shares[1] / shares[0] < 1.5


def test_contact_sheet_holds_every_image_untouched():
    rng = np.random.RandomState(1)
    images = [rng.randint(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((30, 20), (10, 50), (25, 25))]
    sheet = contact_sheet(images, columns=2)
    assert sheet.shape[0] >= 30 + 25 and sheet.shape[1] >= 25 + 50
    assert (sheet[:30, :20] == images[0]).all()
    assert (sheet[:10, -50:] == images[1]).all()
    assert (sheet[-25:, :25] == images[2]).all()


@pytest.mark.parametrize("size", [(32, 24), (480, 640)])
def test_titles_stand_above_images_of_any_size(size):
    left, right = (np.full((*size, 3), value, np.uint8) for value in (50, 200))
    picture = side_by_side([left, right], titles=["labels", "prediction"])
    plain = side_by_side([left, right])
    bar = picture.shape[0] - size[0]
    assert bar > 0 and plain.shape == (size[0], picture.shape[1], 3)
    assert (picture[bar:] == plain).all()
    assert (picture[:bar] > 100).any()
    with pytest.raises(ValueError):
        side_by_side([left, right], titles=["one"])


def test_classes_tint_the_image_and_the_background_does_not(image):
    classes = load_classes("body29")
    labels = np.zeros(image.shape[:2], np.uint8)
    labels[10:20, 10:30], labels[40:50, 40:60], labels[60:, 60:] = 6, 15, 255
    before = image.copy()
    picture = draw_segmentation(image, labels, classes, opacity=0.5)
    assert (image == before).all() and picture.dtype == np.uint8 and picture.shape == image.shape
    changed = (picture != before).any(axis=2)
    assert (changed == (labels != 0)).all()
    for index in (6, 15):
        expected = 0.5 * 128 + 0.5 * np.array(classes.colors[index])
        inside = cv2.erode((labels == index).view(np.uint8), np.ones((3, 3))) > 0
        assert np.abs(picture[inside] - expected).max() <= 1
        assert (picture[labels == index].max(axis=1) < expected.max() * 0.6).any(), (
            "a darker line at its edge"
        )
    assert (picture[labels == 255] < 64).all()


def test_the_legend_shows_the_colors_that_occur_beside_readable_pictures():
    classes = load_classes("body29")
    picture = np.full((512, 384, 3), 128, np.uint8)
    labels = np.zeros((512, 384), np.uint8)
    labels[100:200, 100:200] = classes.names.index("Hair")
    drawn = draw_segmentation(picture, labels, classes)
    column = drawn[:, 384:]
    assert len(drawn) == 512 and column.shape[1] > 50
    shown = {index for index, color in enumerate(classes.colors) if (column == color).all(axis=2).any()}
    assert shown == {classes.names.index("Hair")}
    assert draw_segmentation(picture, labels, classes, legend=False).shape == picture.shape
    every = np.arange(512 * 384, dtype=np.int64).reshape(512, 384) % 29
    column = draw_segmentation(picture, every, classes)[:, 384:]
    assert all((column == color).all(axis=2).any() for color in classes.colors[1:])
