"""Pictures of dense fields: what colors mean, and what is drawn where nothing is known."""

import numpy as np
import pytest

from sapiens2_lit.visualization.draw_dense import (
    color_map,
    draw_beside,
    draw_depth,
    draw_matte,
    draw_normals,
    draw_points,
)

SIZE = (60, 40)


@pytest.fixture
def image() -> np.ndarray:
    return np.full((*SIZE, 3), 100, np.uint8)


@pytest.mark.parametrize(
    ("normal", "color"),
    [
        ((0, 0, -1), (128, 128, 255)),  # facing the camera: the usual light blue
        ((1, 0, 0), (255, 128, 128)),
        ((0, -1, 0), (128, 255, 128)),  # up
        ((0, 0, -5), (128, 128, 255)),  # of any length
    ],
)
def test_normals_have_the_usual_colors(image: np.ndarray, normal: tuple, color: tuple) -> None:
    picture = draw_normals(image, np.broadcast_to(np.array(normal, np.float32), image.shape))
    assert (np.abs(picture.astype(int) - color) <= 1).all()


def test_without_a_value_the_image_is_darkened(image: np.ndarray) -> None:
    normals = np.zeros(image.shape, np.float32)
    normals[:, :20], normals[5, 30] = (0, 0, -1), np.nan
    depth = np.where(np.arange(SIZE[1]) < 20, 2.0, 0)[None].repeat(SIZE[0], axis=0)
    depth[5, 30] = np.inf
    for picture in (draw_normals(image, normals), draw_depth(image, depth)):
        assert (picture[:, 20:] == 25).all()
        assert (picture[:, :20] != 25).any(axis=2).all()
    assert (draw_depth(image, np.zeros(SIZE)) == 25).all()


def test_near_is_yellow_and_far_is_violet_whatever_the_unit(image: np.ndarray) -> None:
    depth = np.linspace(1, 5, SIZE[1])[None].repeat(SIZE[0], axis=0)
    picture = draw_depth(image, depth).astype(int)
    assert (picture[:, 2, 0] > picture[:, 2, 2]).all()
    assert (picture[:, -3, 2] > picture[:, -3, 0]).all()
    assert (draw_depth(image, 1000 * depth) == picture).all()
    light = picture @ np.array([0.299, 0.587, 0.114])  # colors tell near from far without their hues
    assert (np.diff(light[0]) < 0.5).all() and light[0, 0] > 150 > 50 > light[0, -1]
    few = depth.copy()
    few[0, 0] = 1e6  # one outlier does not take the colors from the rest
    assert np.abs(draw_depth(image, few)[1:].astype(int) - picture[1:]).max() < 40


def test_a_bar_stands_beside_readable_pictures_alone() -> None:
    tall = np.zeros((300, 200, 3), np.uint8)
    depth = np.linspace(1, 5, 300)[:, None].repeat(200, axis=1)
    drawn = draw_depth(tall, depth)
    assert drawn.shape[0] == 300 and drawn.shape[1] > 220
    bar = drawn[:, 200:]
    for end in (0.1, 0.5, 0.9):
        assert (bar == color_map(np.array([[end]]))).all(axis=2).any(axis=1).sum() >= 1
    assert draw_depth(tall[:100], depth[:100]).shape == (100, 200, 3)


def test_cloud_from_the_front_is_the_picture_and_from_the_side_shows_depth() -> None:
    """A wall with a red pole in front of it: from the side the pole stands apart."""
    height, width = 80, 60
    y, x = np.mgrid[:height, :width].astype(np.float64)
    points = np.stack([(x - 29.5) / 40, (y - 39.5) / 40, np.full(x.shape, 3.0)], axis=2)
    pole = np.abs(x - 30) < 4
    points[pole, 2] = 2.0
    image = np.where(pole[..., None], [255, 0, 0], [0, 0, 255]).astype(np.uint8)

    def columns(picture: np.ndarray, channel: int) -> np.ndarray:
        return np.flatnonzero((picture[..., channel] == 255).any(axis=0))

    front, side = draw_points(image, points, turn=0), draw_points(image, points, turn=90)
    assert (
        columns(front, 2).min() < columns(front, 0).min() < columns(front, 0).max() < columns(front, 2).max()
    )
    assert columns(side, 0).min() > columns(side, 2).max(), (
        "seen from the left, what is near stands on the right"
    )
    assert front.shape == side.shape == image.shape


def test_cloud_of_anything_is_a_picture(image: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    wild = rng.standard_cauchy((*SIZE, 3)) * 1e9
    wild[0] = np.nan
    for points in (wild, np.zeros((*SIZE, 3)), np.full((*SIZE, 3), np.inf), np.ones((*SIZE, 3))):
        picture = draw_points(image, points)
        assert picture.shape == image.shape and picture.dtype == np.uint8
    assert (draw_points(image, np.zeros((*SIZE, 3))) == draw_points(image, -wild * np.nan)).all()


def test_albedo_stands_beside_the_image(image: np.ndarray) -> None:
    picture = draw_beside(image, np.full((*SIZE, 3), 0.5))
    assert (picture[:, : SIZE[1]] == image).all()
    assert (picture[:, SIZE[1] :] == 128).all()


def test_mattes_show_the_board_where_nobody_is() -> None:
    alpha = np.zeros((*SIZE, 1))
    alpha[:30] = 1
    foreground = alpha * [1.0, 0.2, 0]
    picture = draw_matte(foreground, alpha)
    assert (picture[:30] == [255, 51, 0]).all()
    assert set(np.unique(picture[30:])) == {102, 153}
    half = draw_matte(foreground / 2, alpha / 2)
    assert (half[:30, :, 0] > 170).all() and (half[:30, :, 0] < 210).all()
    assert (draw_matte(foreground, np.full_like(alpha, np.nan)) == 0).all()
