"""Classes of an original's pixels: what interpolating every logit gives, computed where classes meet alone."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import EXACT_WARPS

from sapiens2_lit.inference import class_maps
from sapiens2_lit.inference.class_maps import by_whole_maps, classes_in, largest, restore_classes
from sapiens2_lit.inference.views import View, crop_view, whole_view

SIZE = (128, 96)
BOX = np.array([60, 40, 90, 140, 1], dtype=np.float32)
VIEWS = {
    "as large": lambda: whole_view(0, SIZE, SIZE),
    "larger, letterboxed": lambda: whole_view(0, (300, 431), SIZE),
    "stretched": lambda: whole_view(0, (250, 400), SIZE, view="stretch"),
    "crop": lambda: crop_view(0, (250, 260), SIZE, BOX),
    "smaller": lambda: whole_view(0, (97, 70), SIZE),
}


def blobs(size: tuple[int, int], classes: int = 29, seed: int = 0) -> np.ndarray:
    """Logits (C, h, w) as smooth as a network's."""
    few = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, classes, 7, 5)).astype(np.float32))
    return F.interpolate(8 * few, size, mode="bicubic")[0].numpy()


def every_logit(logits: np.ndarray, view: View) -> np.ndarray:
    """The plain way, in float64: all classes at all pixels."""
    affine, shown = class_maps._to_region(logits, view)
    (height, width), (h, w) = view.region.size, shown.shape[1:]
    inverse = cv2.invertAffineTransform(affine)
    y = np.clip(inverse[1, 1] * np.arange(height) + inverse[1, 2], 0, h - 1)
    x = np.clip(inverse[0, 0] * np.arange(width) + inverse[0, 2], 0, w - 1)
    rows, columns = (
        np.maximum(0, 1 - np.abs(place[:, None] - np.arange(n))) for place, n in ((y, h), (x, w))
    )
    return np.einsum("yh,chw,xw->cyx", rows, shown.astype(np.float64), columns, optimize=True).argmax(0)


@pytest.mark.parametrize("name", VIEWS)
def test_equal_to_interpolating_every_logit(name: str) -> None:
    view, logits = VIEWS[name](), blobs(SIZE)
    found, expected = restore_classes(logits, view), every_logit(logits, view)
    assert found.shape == view.region.size and found.dtype == np.uint8
    assert (found != expected).sum() <= 2, "ties alone may fall otherwise"


@pytest.mark.parametrize("name", VIEWS)
def test_a_decoders_logits_give_what_they_give_at_the_inputs_size(name: str) -> None:
    """Interpolated once instead of twice, which moves borders by less than a pixel of the decoder's map."""
    view, half = VIEWS[name](), blobs((SIZE[0] // 2, SIZE[1] // 2))
    at_input = F.interpolate(torch.from_numpy(half)[None], SIZE, mode="bilinear")[0].numpy()
    found, plain = restore_classes(half, view), by_whole_maps_of(at_input, view)
    differ = found != plain
    assert differ.mean() < 0.02
    decoder_pixel = 2 / min(view.affine[0, 0], view.affine[1, 1])
    edges = near_edges(plain, 1 + round(decoder_pixel))
    border = 1 + round(decoder_pixel)  # beside padding, which the decoder's own pixels leave out
    differ[:border] = differ[-border:] = differ[:, :border] = differ[:, -border:] = False
    assert not (differ & ~edges).any()
    assert differ.sum() < 0.15 * edges.sum()


@EXACT_WARPS
def test_differs_from_opencvs_interpolation_at_borders_alone() -> None:
    """OpenCV rounds places to 1/32 pixel."""
    view, logits = VIEWS["larger, letterboxed"](), blobs(SIZE)
    found, plain = restore_classes(logits, view), by_whole_maps_of(logits, view)
    assert (found != plain).sum() < 0.01 * near_edges(plain, 1).sum()


def test_noise_and_pictures_that_shrink_take_whole_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(class_maps, "by_whole_maps", lambda *args: taken.append(1) or by_whole_maps(*args))
    noise = np.random.default_rng(0).normal(size=(5, *SIZE)).astype(np.float32)
    view = VIEWS["larger, letterboxed"]()
    assert (restore_classes(noise, view) == every_logit(noise, view)).mean() > 0.98
    small = whole_view(0, (30, 22), SIZE)
    assert restore_classes(blobs(SIZE), small).shape == (30, 22)
    assert len(taken) == 2


def test_one_class_one_row_and_ties() -> None:
    view = whole_view(0, (5, 300), SIZE)
    assert (restore_classes(np.zeros((3, *SIZE), np.float32), view) == 0).all()
    logits = np.random.default_rng(0).normal(size=(300, 9, 7)).astype(np.float32)[:200]
    np.testing.assert_array_equal(largest(logits), logits.argmax(axis=0))
    assert classes_in(np.array([[3, 255], [0, 3]], np.uint8)).tolist() == [0, 3, 255]


def by_whole_maps_of(logits: np.ndarray, view: View) -> np.ndarray:
    affine, shown = class_maps._to_region(logits, view)
    return by_whole_maps(shown, affine, view.region.size)


def near_edges(labels: np.ndarray, reach: int) -> np.ndarray:
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)
