"""Detections become samples, labelled by the person that they overlap."""

import json
import math

import numpy as np
import pytest

from sapiens2_lit.data.coco.annotations import read_coco
from sapiens2_lit.data.coco.detections import box_iou, read_detections
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import load_skeleton

BODY = load_skeleton("coco17")


@pytest.fixture
def file(dataset):
    root = dataset(people=3, images=3)
    return read_coco(root / "annotations" / "train.json", BODY, root / "images")


def detection(file, person=0, shift=0.0, **fields):
    x, y, w, h = file.people.box[person].tolist()
    image_id = int(file.people.image_id[file.people.image[person]])
    return {"image_id": image_id, "category_id": 1, "bbox": [x + shift, y, w, h], "score": 0.9, **fields}


def write(tmp_path, detections):
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(detections))
    return path


def test_labels_come_from_the_best_overlap(tmp_path, file):
    near, far = detection(file, 1, shift=5), detection(file, 1, shift=30)
    wrong_image = detection(file, 1, image_id=10)
    people = read_detections(write(tmp_path, [near, far, wrong_image]), file)
    assert people.annotation_id[:2].tolist() == [101, -1]
    np.testing.assert_array_equal(people.keypoints(0), file.people.keypoints(1))
    assert not people.keypoints(1).any()
    np.testing.assert_allclose(people.box[0], near["bbox"], rtol=1e-6)
    np.testing.assert_allclose(people.score, 0.9)
    assert people.image_id[people.image].tolist() == [11, 11, 10]


def test_threshold_category_and_unknown_images_are_skipped(tmp_path, file):
    kept = detection(file, 0, score=0.5)
    others = [
        detection(file, 0, score=0.49),
        detection(file, 0, category_id=3),
        detection(file, 0, image_id=999),
        detection(file, 0, bbox=[1, 2, 0, 5]),
    ]
    people = read_detections(write(tmp_path, [*others, kept]), file, threshold=0.5)
    assert len(people) == 1
    with pytest.raises(DataError, match=r"none of its 4 boxes is a person scored 0.5 or more"):
        read_detections(write(tmp_path, others), file, threshold=0.5)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"bbox": [1, 2, 3]}, "entry 0: `bbox` has 3 entries, expected a list of 4 numbers"),
        ({"bbox": None}, "entry 0: `bbox` is missing"),
        ({"score": math.nan}, r"entry 0: `score\[0\]` is nan"),
        ({"score": None}, r"entry 0: `score\[0\]` is None"),
    ],
)
def test_bad_detections_are_refused(tmp_path, file, spoiled, message):
    path = write(tmp_path, [detection(file, 0, **spoiled)])
    with pytest.raises(DataError, match=message) as caught:
        read_detections(path, file)
    assert str(path) in str(caught.value)


def test_nothing_to_look_at(tmp_path, file):
    with pytest.raises(DataError, match="none of its 0 boxes"):
        read_detections(write(tmp_path, []), file)


def test_not_a_list(tmp_path, file):
    with pytest.raises(DataError, match="found a JSON dict, expected a list of detections"):
        read_detections(write(tmp_path, {}), file)


def test_iou_of_known_boxes():
    first = np.array([[0, 0, 10, 10]], dtype=np.float32)
    second = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5]], dtype=np.float32)
    np.testing.assert_allclose(box_iou(first, second), [[1, 50 / 150, 0]])
