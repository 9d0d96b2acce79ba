"""Predictions of an iterable: the same as one by one, in order, with little in memory, and nothing left running."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import Frame


@pytest.fixture
def predictor(make_model: Any) -> Predictor:
    return Predictor(make_model("pose", "seg", "normal"), batch_size=3)


@pytest.fixture
def images(picture: Any) -> list[np.ndarray]:
    return [picture(40 + 3 * index, 50 - index, index) for index in range(8)]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def assert_same(found: Prediction, expected: Prediction) -> None:
    assert [one.score for one in found.instances] == [one.score for one in expected.instances]
    for head, maps in expected.maps.items():
        for key, values in maps.items():
            np.testing.assert_array_equal(found.maps[head][key], values)


def test_equals_predict_for_arrays_paths_and_frames(
    predictor: Predictor, images: list[np.ndarray], tmp_path: Path
) -> None:
    expected = predictor.predict(images)
    given: list[Any] = [*images]
    Image.fromarray(images[1]).save(tmp_path / "b.png")
    given[1] = tmp_path / "b.png"
    given[2] = Image.fromarray(images[2])
    given[3] = Frame(images[3], "walk/000003")
    found = list(predictor.stream(image for image in given))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_boxes_belong_to_their_images(predictor: Predictor, images: list[np.ndarray]) -> None:
    boxes = [[[2, 3, 20, 30]], [], None, [[1, 1, 9, 9, 1], [5, 5, 20, 20, 0.5]]]
    expected = predictor.predict(images[:4], boxes)
    for one, other in zip(predictor.stream(images[:4], iter(boxes)), expected, strict=True):
        assert_same(one, other)
    with pytest.raises(SettingError, match="boxes: found boxes of 4 images"):
        list(predictor.stream(images, boxes))


def test_an_endless_iterable_is_read_as_there_is_room_and_closed(
    make_model: Any,
) -> None:
    taken, closed = [], []

    def endless() -> Iterator[np.ndarray]:
        try:
            while True:
                taken.append(1)
                yield np.zeros((1000, 1000, 3), np.uint8)
        finally:
            closed.append(1)

    found = Predictor(make_model("pose")).stream(endless())
    next(found)
    next(found)
    found.close()
    assert closed == [1]
    assert len(taken) * 3 < 2000, "megabytes: what the stages may hold"


def test_an_unreadable_picture_is_named_in_its_turn(
    predictor: Predictor, images: list[np.ndarray], tmp_path: Path
) -> None:
    found = predictor.stream([*images[:6], tmp_path / "nowhere.png", images[6]])
    for _ in range(6):
        next(found)
    with pytest.raises(DataError, match=r"nowhere.png: the image does not exist"):
        next(found)
    with pytest.raises(DataError, match="image 1: found float64"):
        list(predictor.stream([images[0], np.zeros((3, 3))]))


def test_an_error_of_the_iterable_comes_through(predictor: Predictor, images: list[np.ndarray]) -> None:
    def breaking() -> Iterator[np.ndarray]:
        yield from images[:3]
        raise OSError("the camera is gone")

    found: list[Prediction] = []
    with pytest.raises(OSError, match="the camera is gone"):
        found.extend(predictor.stream(breaking()))


def test_never_started_and_left_early(predictor: Predictor, images: list[np.ndarray]) -> None:
    predictor.stream(images).close()
    for _ in predictor.stream(images):
        break
