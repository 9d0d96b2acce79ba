"""Boxes of JSON files find their pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens2_lit.errors import DataError
from sapiens2_lit.inference.boxes import BoxFile, read_boxes
from sapiens2_lit.inference.sources import Frame


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def boxes_of(boxes: BoxFile, file: str) -> list[list[float]]:
    return boxes.of(Frame(np.zeros((1, 1, 3), np.uint8), Path(file).stem, file, 0)).tolist()


COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "sub/b.jpg"}],
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [5, 5, 5, 5]},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [6, 7, 8, 9], "score": 0.5},
    ],
}


@pytest.mark.parametrize(
    "content",
    [
        {"a.jpg": [[1, 2, 3, 4], [6, 7, 8, 9, 0.5]]},
        {"a": [[1, 2, 3, 4, 1], [6, 7, 8, 9, 0.5]]},
        {"photos/a.jpg": [[1, 2, 3, 4, 1], [6, 7, 8, 9, 0.5]], "b.jpg": []},
        [
            {"file_name": "a.jpg", "bbox": [1, 2, 3, 4]},
            {"file_name": "a.jpg", "bbox": [6, 7, 8, 9], "score": 0.5},
        ],
        COCO,
    ],
)
def test_every_form_says_the_same(content: Any, tmp_path: Path) -> None:
    boxes = read_boxes(write(tmp_path / "boxes.json", content))
    assert boxes_of(boxes, "a.jpg") == [[1, 2, 3, 4, 1], [6, 7, 8, 9, 0.5]]
    assert boxes_of(boxes, "nobody.jpg") == []


def test_names_and_ids(tmp_path: Path) -> None:
    coco = read_boxes(write(tmp_path / "coco.json", COCO))
    assert coco.ids_of(["a.jpg", "b.jpg", "c.jpg"]) == {"a.jpg": 7, "b.jpg": 8}
    assert coco.find("sub/b.jpg") == coco.find("b.jpg") == "sub/b.jpg" and boxes_of(coco, "b.jpg") == []
    named = read_boxes(write(tmp_path / "named.json", {"x/a.jpg": [[1, 1, 1, 1]], "y/a.jpg": [[2, 2, 2, 2]]}))
    assert named.ids_of(["a.jpg"]) is None
    assert named.find("a.jpg") is None, "two pictures have that name"
    assert named.find("y/a.jpg") == "y/a.jpg"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (3, "found a JSON int"),
        ({}, "has no boxes"),
        ({"a.jpg": [[1, 2, 3]]}, r"a.jpg: is \[\[1, 2, 3\]\], expected a list"),
        ({"a.jpg": [[1, 2, 0, 3]]}, r"a.jpg, box 0: is .* expected an area above 0"),
        ({"a.jpg": [[1, 2, "x", 3]]}, r"`box\[2\]` is 'x', expected a finite number"),
        ([{"image_id": 3, "bbox": [1, 2, 3, 4]}], "an `image_id` alone names no file"),
        ([{"file_name": "a.jpg"}], "`bbox` is missing"),
        ({"images": [], "annotations": 3}, "must be lists"),
        ({**COCO, "images": COCO["images"][1:]}, "`image_id` is missing or not the id"),
    ],
)
def test_mistakes_are_named(content: Any, expected: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=expected):
        read_boxes(write(tmp_path / "boxes.json", content))
