"""COCO keypoint files: what is read, what is skipped, what is refused and in which words."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO

from sapiens2_lit.data.checks.taught import describe_pose
from sapiens2_lit.data.coco.annotations import read_coco
from sapiens2_lit.data.coco.ground_truth import build_ground_truth, with_unique_ids
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import load_skeleton

BODY = load_skeleton("coco17")


def read(root: Path, skeleton=BODY, **settings):
    return read_coco(root / "annotations" / "train.json", skeleton, root / "images", **settings)


def test_people_come_out_as_they_went_in(dataset):
    root = dataset(people=5)
    data = json.loads((root / "annotations" / "train.json").read_text())
    people = read(root).people
    assert len(people) == 5
    for row, annotation in enumerate(data["annotations"]):
        np.testing.assert_allclose(people.keypoints(row).ravel(), annotation["keypoints"], atol=1e-4)
        np.testing.assert_allclose(people.box[row], annotation["bbox"], atol=1e-4)
        assert people.annotation_id[row] == annotation["id"]
        assert people.image_id[people.image[row]] == annotation["image_id"]
        assert people.path(row).is_file()


def test_crowds_and_the_unlabelled_are_counted_and_stay_in_the_ground_truth(dataset):
    def change(data):
        data["annotations"][0]["iscrowd"] = 1
        data["annotations"][0].pop("keypoints")
        data["annotations"][1]["keypoints"] = [0] * 51
        data["annotations"][1]["bbox"] = [0, 0, 0, 0]
        data["annotations"][2]["category_id"] = 7
        data["annotations"][2]["keypoints"] = [1, 2]
        data["categories"].append({"id": 7, "name": "dog"})

    file = read(dataset(people=6, change=change))
    assert len(file.people) == 3
    assert file.skipped == {"of another category": 1, "crowds": 1, "without labeled keypoints": 1}
    told = describe_pose([file.labels])
    assert "3 people" in told
    assert "1 crowds" in told
    truth = build_ground_truth([file])
    assert [a["id"] for a in truth["annotations"]] == [100, 101, 103, 104, 105]
    assert [a["num_keypoints"] for a in truth["annotations"]] == [0, 0, 17, 17, 17]
    assert [a["iscrowd"] for a in truth["annotations"]] == [1, 0, 0, 0, 0]
    assert len(truth["images"]) == 3


def test_missing_area_is_a_share_of_the_boxes(dataset):
    file = read(dataset(change=lambda data: data["annotations"][0].pop("area")))
    assert file.area[0] == pytest.approx(0.53 * 3000)
    assert file.area[1] == 1500


def test_tight_boxes_of_keypoints(dataset):
    def change(data):
        data["annotations"][0]["keypoints"] = [10, 20, 2, 30, 25, 1, *[0] * 42, 20, 60, 2]
        data["annotations"][0].pop("bbox")
        data["annotations"][1]["keypoints"] = [10, 20, 2, *[0] * 48]

    file = read(dataset(change=change), box="keypoints")
    np.testing.assert_allclose(file.people.box[0], [10, 20, 20, 40])
    assert file.skipped == {"whose keypoints span no box": 1}


def test_own_vocabularies_map_by_name(dataset):
    def change(data):
        data["categories"][0]["keypoints"] = ["left_wrist", "tail", "nose"]
        for annotation in data["annotations"]:
            annotation["keypoints"] = [11, 12, 2, 21, 22, 2, 31, 32, 1]

    root = dataset(change=change)
    points = read(root).people.keypoints(0)
    np.testing.assert_array_equal(points[BODY.keypoints.index("nose")], [31, 32, 1])
    np.testing.assert_array_equal(points[BODY.keypoints.index("left_wrist")], [11, 12, 2])
    assert (points[:, 2] > 0).sum() == 2

    def rename(data):
        change(data)
        data["categories"][0]["keypoints"] = ["a", "b", "c"]

    with pytest.raises(
        DataError, match=r"none of its 3 keypoints \(a, b, c, ...\) is in the skeleton 'coco17'"
    ):
        read(dataset(change=rename))


def test_the_vocabulary_may_be_given_where_the_file_names_none(dataset):
    root = dataset(change=lambda data: data["categories"][0].pop("keypoints"))
    people = read(root, source=BODY).people
    assert (people.keypoints(0)[:, 2] == 2).all()
    with pytest.raises(DataError, match="`keypoints` has 51 entries, expected a list of 399"):
        read(root, source=load_skeleton("coco_wholebody133"))


@pytest.mark.parametrize(
    ("file", "skeleton", "shared"),
    [
        ("person_keypoints.json", "coco17", 17),
        ("person_keypoints.json", "coco_wholebody133", 17),
        ("person_keypoints.json", "sociopticon308", 17),
        ("wholebody.json", "coco17", 17),
        ("wholebody.json", "coco_wholebody133", 133),
        ("wholebody.json", "sociopticon308", 53),
    ],
)
def test_files_of_coco_in_every_vocabulary(file, skeleton, shared, coco_people):
    skeleton = load_skeleton(skeleton)
    read_file = read_coco(coco_people / file, skeleton, coco_people / "images")
    assert len(read_file.people) == 12
    assert read_file.skipped == {"without labeled keypoints": 2}
    truth = build_ground_truth([read_file])
    raw = {a["id"]: a for a in json.loads((coco_people / file).read_text())["annotations"]}
    assert {a["id"] for a in truth["annotations"]} == raw.keys()
    most = max(a["num_keypoints"] for a in truth["annotations"])
    assert shared - 1 <= most <= shared
    for annotation in truth["annotations"]:
        found = np.reshape(annotation["keypoints"], (-1, 3))
        body = np.reshape(raw[annotation["id"]]["keypoints"], (-1, 3))
        places = BODY.map_from(skeleton)
        np.testing.assert_allclose(found[places], body, atol=1e-3)
        assert annotation["num_keypoints"] == (found[:, 2] > 0).sum()
        assert annotation["area"] == raw[annotation["id"]]["area"]


def test_wholebody_fields_land_in_place_and_invalid_parts_are_unlabelled(coco_people):
    skeleton = load_skeleton("coco_wholebody133")
    file = read_coco(coco_people / "wholebody.json", skeleton, coco_people / "images")
    raw = {a["id"]: a for a in json.loads((coco_people / "wholebody.json").read_text())["annotations"]}
    seen = 0
    for row in range(len(file.people)):
        points = file.people.keypoints(row)
        annotation = raw[int(file.people.annotation_id[row])]
        start = 17
        for part, size in (("foot", 6), ("face", 68), ("lefthand", 21), ("righthand", 21)):
            expected = np.reshape(annotation[f"{part}_kpts"], (-1, 3)) * annotation[f"{part}_valid"]
            np.testing.assert_allclose(points[start : start + size, :2], expected[:, :2], atol=1e-3)
            np.testing.assert_array_equal(points[start : start + size, 2] > 0, expected[:, 2] > 0)
            seen += int((expected[:, 2] > 0).sum())
            start += size
    assert seen > 500


def test_the_ground_truth_is_a_coco_dict(dataset, tmp_path):
    truth = build_ground_truth([read(dataset())])
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    coco = COCO(str(path))
    assert len(coco.getAnnIds()) == 6
    assert coco.cats[1]["keypoints"] == list(BODY.keypoints)


def test_several_files_get_ids_that_no_two_share(dataset):
    file = read(dataset())
    files = with_unique_ids([file, file, file])
    truth = build_ground_truth(files)
    assert len({image["id"] for image in truth["images"]}) == 9
    assert len({annotation["id"] for annotation in truth["annotations"]}) == 18
    assert [a["id"] for a in truth["annotations"][:6]] == list(range(100, 106)), (
        "the first file keeps its own"
    )
    images = {image["id"] for image in truth["images"]}
    assert {a["image_id"] for a in truth["annotations"]} <= images
    alone = with_unique_ids([file])[0]
    np.testing.assert_array_equal(alone.everyone.image_id, [10, 11, 12])


def spoil(field, value, index=0, table="annotations"):
    def change(data):
        if value is ...:
            data[table][index].pop(field)
        else:
            data[table][index][field] = value

    return change


def spoil_point(place, value):
    def change(data):
        data["annotations"][0]["keypoints"][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("images"), r"the key 'images' is missing"),
        (lambda data: data.pop("annotations"), r"the key 'annotations' is missing"),
        (lambda data: data.pop("categories"), r"the key 'categories' is missing"),
        (lambda data: data.update(images={}), r"`images` is a dict, expected a list"),
        (lambda data: data["categories"].clear(), r"`categories` has no entry with `keypoints`"),
        (
            spoil("file_name", "gone.jpg", table="images"),
            r"image 10: `file_name` 'gone.jpg' does not exist in",
        ),
        (
            spoil("file_name", "../0.jpg", table="images"),
            r"image 10: `file_name` is '../0.jpg', expected a path",
        ),
        (spoil("file_name", "/etc/passwd", table="images"), r"expected a path inside the images folder"),
        (spoil("file_name", "C:\\a.jpg", table="images"), r"expected a path inside the images folder"),
        (spoil("file_name", "a\\..\\..\\b.jpg", table="images"), r"expected a path inside the images folder"),
        (spoil("file_name", ..., table="images"), r"image 10: `file_name` is None, expected a file name"),
        (spoil("id", "ten", table="images"), r"images\[0\]: `id` is 'ten', expected an integer"),
        (spoil("id", 11, table="images"), r"image 11: `id` is given twice"),
        (spoil("image_id", 999), r"annotation 100: `image_id` is 999, expected the id of one of `images`"),
        (spoil("image_id", [3]), r"annotation 100: `image_id` is \[3\], expected the id"),
        (spoil("id", ...), r"annotations\[0\]: `id` is None, expected an integer"),
        (spoil("id", 101), r"annotation 101: `id` is given twice"),
        (spoil("category_id", [1]), r"annotation 100: `category_id` is \[1\], expected one of \[1\]"),
        (spoil("keypoints", [1, 2, 2]), r"annotation 100: `keypoints` has 3 entries, expected a list of 51"),
        (spoil("keypoints", "nose"), r"annotation 100: `keypoints` is 'nose', expected a list of 51"),
        (spoil_point(3, math.nan), r"annotation 100: `keypoints\[3\]` is nan, expected a finite number"),
        (spoil_point(4, math.inf), r"annotation 100: `keypoints\[4\]` is inf, expected a finite number"),
        (spoil_point(4, "x"), r"annotation 100: `keypoints\[4\]` is 'x', expected a finite number"),
        (spoil_point(4, None), r"annotation 100: `keypoints\[4\]` is None, expected a finite number"),
        (spoil_point(5, 3), r"`keypoints\[5\]`, the visibility of keypoint 1, is 3, expected 0"),
        (spoil_point(5, -1), r"`keypoints\[5\]`, the visibility of keypoint 1, is -1, expected 0"),
        (spoil_point(5, 0.5), r"`keypoints\[5\]`, the visibility of keypoint 1, is 0.5, expected 0"),
        (spoil("bbox", [1, 2, 3]), r"annotation 100: `bbox` has 3 entries, expected a list of 4 numbers"),
        (spoil("bbox", ...), r"annotation 100: `bbox` is missing"),
        (
            spoil("bbox", [1, 2, -1, 30]),
            r"annotation 100: `bbox` is \[1.0, 2.0, -1.0, 30.0\], expected a width",
        ),
        (spoil("bbox", [1, 2, 5, -3]), r"expected a width and a height above 0"),
        (spoil("bbox", [130, 2, 20, 30]), r"entirely outside its image of 120 x 100"),
        (spoil("bbox", [-50, 2, 20, 30]), r"entirely outside its image of 120 x 100"),
        (spoil("bbox", [1, math.nan, 20, 30]), r"annotation 100: `bbox\[1\]` is nan"),
        (spoil("area", "big"), r"annotation 100: `area\[0\]` is 'big', expected a finite number"),
    ],
)
def test_bad_files_are_refused_with_file_field_and_value(dataset, change, message):
    root = dataset(change=change)
    with pytest.raises(DataError, match=message) as caught:
        read(root)
    assert str(root / "annotations" / "train.json") in str(caught.value)


@pytest.mark.parametrize("bbox", [[-20, 2, 60, 30], [100, 80, 60, 60], [-5, -5, 500, 500]])
def test_boxes_partly_outside_are_fine(dataset, bbox):
    assert len(read(dataset(change=spoil("bbox", bbox))).people) == 6


def test_all_problems_are_reported_at_once(dataset):
    def change(data):
        for annotation in data["annotations"]:
            annotation["keypoints"][2] = 9
        data["annotations"][3]["bbox"] = [0, 0, -1, 0]

    root = dataset(people=20, change=change)
    with pytest.raises(DataError) as caught:
        read(root)
    message = str(caught.value)
    assert "21 problems" in message
    assert len(re.findall(r"\n  - annotation", message)) == 10
    assert message.endswith("and 11 more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("[1, 2]", "found a JSON list, expected an object"),
        ('{"images": [], "annot', r"truncated\?.* at line 1, column 16"),
        ('{"images": [}, "x": 1}', r"not valid JSON.* at line 1, column 13"),
    ],
)
def test_what_is_no_coco_file(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_coco(path, BODY, tmp_path)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none.json: the file does not exist"):
        read_coco(tmp_path / "none.json", BODY, tmp_path)
