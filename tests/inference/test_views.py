"""Maps go to the input and back without moving."""

import numpy as np
import pytest

from sapiens2_lit.inference.class_maps import restore_classes
from sapiens2_lit.inference.to_original import restore_field, restore_labels, restore_vectors
from sapiens2_lit.inference.views import View, crop_view, whole_view
from sapiens2_lit.transforms.fields import warp_field
from sapiens2_lit.transforms.geometric import apply_affine, invert

SIZE = (64, 48)
BOX = np.array([30, 20, 40, 60, 1], dtype=np.float32)


def coordinates(height: int, width: int) -> np.ndarray:
    """(H, W, 2): x and y of each pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def as_input_sees_it(view: View) -> np.ndarray:
    """(h, w, 2): the original pixel that each input pixel shows."""
    points = apply_affine(invert(view.affine), coordinates(*view.size).reshape(-1, 2))
    return points.reshape(*view.size, 2).astype(np.float32)


@pytest.mark.parametrize(
    "image_size", [(100, 150), (1000, 500), (64, 48), (20, 9), (64, 49), (3, 200), (1, 1)]
)
def test_every_pixel_of_the_image_comes_back_from_where_it_went(image_size: tuple[int, int]) -> None:
    view = whole_view(0, image_size, SIZE)
    pixel = max(1.0, 1 / view.affine[0, 0])  # of the input, in original pixels
    found = restore_field(as_input_sees_it(view), view)
    assert found.shape == (*image_size, 2)
    error = np.abs(found - coordinates(*image_size))
    border = round(pixel)
    inside = error[border:-border, border:-border]
    assert inside.size == 0 or inside.max() < pixel / 32 + 0.01  # OpenCV interpolates in steps of 1/32
    # At a border the outermost pixel is repeated; of a strip thinner than an input pixel there is one row alone.
    assert error.max() < 0.6 * pixel + (2.5 if image_size == (3, 200) else 0)


def test_a_field_survives_the_way_to_the_input_and_back() -> None:
    x, y = np.moveaxis(coordinates(200, 130), 2, 0)
    field = np.stack([np.sin(x / 20), np.cos(y / 30), x * y / 1e4], axis=-1).astype(np.float32)
    view = whole_view(0, (200, 130), (640, 480))
    inputs = warp_field(field, np.ones((200, 130), dtype=bool), view.affine, view.size)
    inside = (slice(2, -2), slice(2, -2))  # on its way there, a field's outermost half pixel does not count
    assert np.abs(restore_field(inputs, view) - field)[inside].max() < 0.01


def test_crops_know_what_they_show() -> None:
    view = crop_view(0, (100, 90), SIZE, BOX)
    rows, columns = view.region
    # 1.25 times the box, about its middle (50, 50), in the input's aspect, and half an input pixel around it
    assert (rows.start, rows.stop, columns.start, columns.stop) == (12, 89, 22, 79)
    found = restore_field(as_input_sees_it(view), view)
    assert np.abs(found - coordinates(100, 90)[view.region]).max() < 1.0
    beside = crop_view(0, (100, 90), SIZE, np.array([200, 20, 10, 10, 1], dtype=np.float32))
    assert 0 in beside.region.size


def test_classes_are_resampled_by_their_logits() -> None:
    """A border between two classes lies where their logits cross, which is finer than an input pixel."""
    view = whole_view(0, (640, 480), SIZE)
    x = np.arange(48, dtype=np.float32)
    logits = np.stack([np.tile(x, (64, 1)), np.full((64, 48), 20.3), np.full((64, 48), -1)]).astype(
        np.float32
    )
    labels = restore_classes(logits, view)
    cut = 10 * (20.3 + 0.5) - 0.5
    assert labels.dtype == np.uint8
    assert (labels[:, : int(cut)] == 1).all()
    assert (labels[:, int(cut) + 1 :] == 0).all()


def test_whole_numbers_and_unit_vectors_stay_what_they_are() -> None:
    view = whole_view(0, (111, 70), SIZE)
    labels = np.random.default_rng(0).integers(0, 1000, SIZE)
    assert np.isin(restore_labels(labels, view), labels).all()
    same = whole_view(0, SIZE, SIZE)
    assert (restore_labels(labels, same) == labels).all()
    vectors = np.random.default_rng(0).normal(size=(*SIZE, 3)).astype(np.float32)
    lengths = np.linalg.norm(restore_vectors(vectors, view), axis=2)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    np.testing.assert_allclose(restore_vectors(unit, same), unit, atol=1e-6)


def test_views_of_people_and_of_images_differ_by_less_than_a_pixel() -> None:
    corners = np.array([[-0.5, -0.5], [199.5, 299.5]])
    image, person = (whole_view(0, (300, 200), SIZE, as_person=flag).affine for flag in (False, True))
    assert np.abs(apply_affine(image, corners) - apply_affine(person, corners)).max() < 1
