"""What people's keypoint files hold that must not be learned in silence: each kind in several forms."""

import copy
import json
import unicodedata

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pose_files import BODY, check_pose, write_pose

from sapiens2_lit.data.checks import LabelError
from sapiens2_lit.data.checks.pose_repairs import AREA_OF_BOX
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.errors import DataError
from sapiens2_lit.metrics import KeypointAP
from sapiens2_lit.skeletons import load_skeleton


@pytest.fixture
def pose(tmp_path):
    """Writes a pose dataset: `pose(change, names=..., people=...) -> its root`."""
    return lambda change=None, **settings: write_pose(tmp_path / "data", change, **settings)


def each(change):
    """The change to every annotation."""
    return lambda data: [change(one) for one in data["annotations"]]


def put(**fields):
    return each(lambda one: one.update(copy.deepcopy(fields)))


def points_of(one):
    return np.reshape(one["keypoints"], (-1, 3)).astype(float)


def with_points(change):
    def apply(one):
        one["keypoints"] = np.asarray(change(points_of(one))).ravel().tolist()

    return each(apply)


def scaled(x, y, *, points=True, boxes=True):
    def apply(one):
        if points:
            one["keypoints"] = (points_of(one) * [x, y, 1]).ravel().tolist()
        if boxes:
            one["bbox"] = (np.array(one["bbox"]) * [x, y, x, y]).tolist()

    return each(apply)


def both(*changes):
    return lambda data: [change(data) for change in changes]


def found(root, name, severity, skeleton="coco17", **settings):
    """The finding of that check, which must be of that severity."""
    findings = check_pose(root, skeleton, **settings)
    named = [one for one in findings if one.check == name]
    assert named, f"{name} is silent; found {[(one.check, one.severity) for one in findings]}"
    assert named[0].severity == severity, named[0]
    return named[0]


def average_precision(root, shift=0.0, **settings):
    data = PoseDataModule(str(root), "coco17", (64, 48), val="train.json", num_workers=0, **settings)
    data.setup("validate")
    truth = data.ground_truth("validate")
    metric = KeypointAP(load_skeleton("coco17"), truth)
    for number, one in enumerate(one for one in truth["annotations"] if one["num_keypoints"]):
        points = torch.tensor(one["keypoints"]).reshape(1, -1, 3).clone()
        points[..., :2] += shift
        points[..., 2] = 1.0
        ids = torch.tensor([one["image_id"]])
        metric.update(points, ids, torch.ones(1), torch.tensor([number]))
    return float(metric.compute()["AP"])


# ------------------------------------------------------------------ areas (rows 1, 5; F13)


@pytest.mark.parametrize("area", [0, 1, -5, 1e12, True, 0.5])
def test_impossible_areas_count_as_missing(pose, area):
    finding = found(pose(put(area=area)), "areas", "warning")
    assert (finding.count, finding.total) == (4, 4)
    assert finding.examples[0].field == "area"
    assert average_precision(pose(put(area=area)), shift=1) > 0.8


def test_missing_areas_are_the_documented_share_wherever_they_are_missing(pose):
    box = np.array(
        [one["bbox"] for one in json.loads((pose() / "annotations/train.json").read_text())["annotations"]]
    )

    def documented(data):
        for one, sides in zip(data["annotations"], box[:, 2:], strict=True):
            one["area"] = float(0.53 * sides.prod())

    missing = average_precision(pose(each(lambda one: one.pop("area"))), shift=4)
    assert missing == pytest.approx(average_precision(pose(documented), shift=4))
    without = json.loads((pose() / "annotations/train.json").read_text())
    for one in without["annotations"]:
        one.pop("area")
    truth = KeypointAP(load_skeleton("coco17"), without).truth
    np.testing.assert_allclose(truth.areas, AREA_OF_BOX * truth.boxes[:, 2] * truth.boxes[:, 3])
    finding = found(pose(each(lambda one: one.pop("area"))), "areas", "note")
    assert "0.53 of the box" in finding.message
    assert finding.count == 4


# ------------------------------------------------------------------ boxes (rows 3, 4, 11; F13)


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [40, 40, 0, 20], [40, 40, 20, 0]])
def test_flat_boxes_in_all_annotations_stop_and_name_the_setting(pose, box):
    finding = found(pose(put(bbox=box)), "flat_boxes", "error")
    assert finding.count == 4
    assert "--data.box keypoints" in finding.remedy
    assert not [one for one in check_pose(pose(put(bbox=box)), box="keypoints") if one.stops or one.warns]


def test_one_flat_box_is_left_out_and_counted(pose):
    root = pose(lambda data: data["annotations"][2].update(bbox=[40, 40, 0, 0]))
    finding = found(root, "flat_boxes", "warning")
    assert finding.count == 1
    assert finding.examples[0].entry == "annotation 3"
    data = PoseDataModule(str(root), "coco17", (64, 48), val=None)
    data.setup("fit")
    assert len(data.datasets["train"]) == 3
    assert "1 with a flat box" in data.describe()
    assert average_precision(root) == pytest.approx(1.0)


def test_missing_boxes_name_the_setting(pose):
    finding = found(pose(each(lambda one: one.pop("bbox"))), "bad_entries", "error")
    assert "--data.box keypoints" in finding.remedy


def as_corners(one):
    x, y, width, height = one["bbox"]
    one["bbox"] = [x, y, x + width, y + height]


@pytest.mark.parametrize("people", [1, 4, 50])
def test_corner_boxes_are_told(pose, people):
    (finding,) = [
        one for one in check_pose(pose(each(as_corners), people=people)) if one.check == "corner_boxes"
    ]
    assert finding.severity in ("warning", "error")
    assert "x1, y1, x2, y2" in finding.message


def test_corner_boxes_within_the_image_are_told_by_the_keypoints(pose):
    def change(one):
        points = np.random.default_rng(one["id"]).uniform([20, 16], [70, 112], (17, 2))
        one.update(bbox=[20, 16, 70, 112], keypoints=np.c_[points, np.full(17, 2)].ravel().tolist())

    assert found(pose(each(change)), "corner_boxes", "warning").count == 4


def test_corner_boxes_that_leave_the_image_stop(pose):
    def far(one):
        one["bbox"] = [60, 60, 90, 120]
        points = np.random.default_rng(one["id"]).uniform([61, 61], [89, 119], (17, 2))
        one["keypoints"] = np.c_[points, np.full(17, 2)].ravel().tolist()

    assert found(pose(each(far)), "corner_boxes", "error").count == 4


# ------------------------------------------------------------------ units (rows 8, 9; F13)


@pytest.mark.parametrize(("points", "boxes"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("size", [(96, 128), (640, 480)])
def test_shares_of_the_image_stop(pose, points, boxes, size):
    root = pose(scaled(1 / size[0], 1 / size[1], points=points, boxes=boxes), size=size)
    finding = found(root, "unit_coordinates", "error")
    assert "0..1" in finding.message
    with pytest.raises(LabelError, match="unit_coordinates"):
        PoseDataModule(str(root), "coco17", (64, 48), val=None).setup("fit")


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080)])
def test_per_cent_of_the_image_stops(pose, size):
    root = pose(scaled(100 / size[0], 100 / size[1]), size=size)
    assert "per cent" in found(root, "per_cent_coordinates", "error").message


@pytest.mark.parametrize(
    "change",
    [
        with_points(lambda points: points * [1000, 1000, 1]),
        with_points(lambda points: points * [-1, -1, 1]),
        with_points(lambda points: points * [0.01, 0.01, 1] + [500, 500, 0]),
    ],
)
def test_points_that_lie_nowhere_stop(pose, change):
    assert found(pose(change), "points_outside_image", "error").count > 30
    assert found(pose(change), "points_outside_box", "error").count == 4


def test_points_with_x_and_y_exchanged_lie_outside_their_boxes(pose):
    root = pose(with_points(lambda points: points[:, [1, 0, 2]]), size=(640, 320), people=40)
    finding = found(root, "exchanged_coordinates", "error")
    assert finding.count == 40
    assert "y, x" in finding.message
    assert found(pose(with_points(lambda points: points[:, [1, 0, 2]])), "exchanged_coordinates", "error")


def test_one_person_of_many_outside_the_box_warns(pose):
    def change(data):
        data["annotations"][0]["bbox"] = [1, 1, 8, 8]

    finding = found(pose(change), "points_outside_box", "warning")
    assert (finding.count, finding.total) == (1, 4)
    assert finding.examples[0].entry == "annotation 1"


# ------------------------------------------------------------------ sentinels (rows 12, 14)


@pytest.mark.parametrize("place", [(0, 0), (-1, -1)])
def test_missing_points_as_labelled_neither_train_nor_count(pose, place):
    def change(points):
        points[5:] = (*place, 2)
        return points

    root = pose(with_points(change))
    finding = found(root, "missing_as_labelled", "warning")
    assert finding.count == 4 * 12
    assert f"({place[0]}, {place[1]}, 2) for left_shoulder" in finding.examples[0].found
    data = PoseDataModule(str(root), "coco17", (64, 48), val="train.json", augment=None, num_workers=0)
    data.setup("fit")
    assert (data.datasets["train"][0]["keypoints"][5:, 2] == 0).all()
    assert {one["num_keypoints"] for one in data.ground_truth("validate")["annotations"]} == {5}
    assert average_precision(root) == pytest.approx(1.0)


def test_a_point_far_outside_the_image_is_told_and_left_out(pose):
    def change(data):
        data["annotations"][0]["keypoints"][:3] = [5000, 5000, 2]

    finding = found(pose(change), "points_outside_image", "warning")
    assert finding.count == 1
    assert "(5000, 5000, 2) for nose in an image of 96 x 128" in finding.examples[0].found
    assert average_precision(pose(change)) == pytest.approx(1.0)


def test_points_just_outside_are_people_who_leave_the_picture(pose):
    def change(data):
        data["annotations"][0]["keypoints"][:3] = [50, 131, 2]

    assert found(pose(change), "points_outside_image", "note").count == 1


# ------------------------------------------------------------------ swaps (row 6)


def skeleton_file(root, text):
    path = root / "skeleton.yaml"
    path.write_text(text)
    return str(path)


FACE = [str(number) for number in range(1, 69)]


def test_mirroring_without_a_known_pair_stops(pose):
    root = pose(names=FACE)
    names = f"keypoints: {json.dumps(FACE)}\n"
    skeleton = skeleton_file(root, names)
    finding = found(root, "no_mirror_pairs", "error", skeleton)
    for part in ("swaps: [[left, right]", "swaps: []", "--data.augment.flip 0"):
        assert part in finding.remedy
    assert not [one for one in check_pose(root, skeleton, augment=None) if one.stops]
    assert not [one for one in check_pose(root, skeleton, allow=["no_mirror_pairs"]) if one.stops]
    for swaps in ("swaps: []", 'swaps: [["1", "17"]]'):
        meant = skeleton_file(root, f"{names}{swaps}\n")
        assert not [one for one in check_pose(root, meant) if one.check == "no_mirror_pairs"]


def test_pairs_found_are_told_and_sides_without_a_partner_warn(pose):
    names = ["nose", "eyeL", "eyeR", "forelegL1", "forelegR1", "tail"]
    root = pose(names=names)
    skeleton = skeleton_file(root, f"keypoints: {json.dumps(names)}\n")
    assert "eyeL - eyeR, forelegL1 - forelegR1" in found(root, "no_mirror_pairs", "note", skeleton).message
    names = ["nose", "left_eye", "right_eye", "left_ear", "ear_right"]
    root = pose(names=names)
    skeleton = skeleton_file(root, f"keypoints: {json.dumps(names)}\n")
    assert "left_ear, ear_right" in found(root, "no_mirror_pairs", "warning", skeleton).message


# ------------------------------------------------------------------ names of points (rows 37 to 45, 53, 59)


@pytest.mark.parametrize(
    "links", [[[16, 14], [1, 2]], [[0, 1]], [[1, 1]], [["a", "b"]], "none", {"a": 1}, [[1]]]
)
def test_lines_for_drawing_never_stop_a_training(pose, links):
    root = pose(lambda data: data["categories"][0].update(skeleton=links), names=BODY[:14])
    finding = found(root, "drawing_lines", "note")
    assert "category 'person'" in finding.message
    assert not [one for one in check_pose(root) if one.stops or one.warns]


@pytest.mark.parametrize("empty", [[], None, ...])
def test_nameless_points_take_the_names_of_a_skeleton_of_their_number(pose, empty):
    def change(data):
        data["categories"][0]["keypoints"] = empty
        if empty is ...:
            data["categories"][0].pop("keypoints")

    assert "the file has no names for its 17 points" in found(pose(change), "names_taken", "note").message
    with pytest.raises(
        DataError, match=r"51 numbers, which is x, y, v of 17 points, and the skeleton .* has 308"
    ):
        check_pose(pose(change), "sociopticon308")


def test_points_in_another_field_of_their_number_are_taken(pose):
    names = [*BODY, "left_toe", "right_toe"]

    def change(data):
        data["categories"][0]["keypoints"] = names
        for one in data["annotations"]:
            one["keypoints_19"] = one["keypoints"] + [30, 40, 2, 31, 41, 2]

    assert "`keypoints_19`" in found(pose(change), "names_taken", "note").message


@pytest.mark.parametrize("spell", [str.title, str.upper, lambda name: name.replace("_", "-")])
def test_names_that_are_spelled_otherwise_are_known(pose, spell):
    names = [spell(name.replace("_", " ") if spell is str.title else name) for name in BODY]
    finding = found(pose(names=names), "names_taken", "note")
    assert f"'{names[1]}' is left_eye" in finding.message


def test_a_file_most_of_whose_points_are_unknown_warns_by_name(pose):
    names = ["nose", "left_wing", "right_wing", "beak"]
    finding = found(pose(names=names), "few_known_points", "warning")
    assert "1 of the file's 4 points" in finding.message
    assert "left_wing, right_wing, beak" in finding.message


def test_between_shipped_vocabularies_few_points_in_common_are_expected(pose):
    findings = check_pose(pose(), "sociopticon308")
    assert not [one for one in findings if one.check == "few_known_points"]


def test_a_few_points_of_a_large_vocabulary_warn(pose):
    assert found(pose(names=["neck", "nose"]), "few_known_points", "warning", "sociopticon308").count == 0


def test_labels_of_another_category_are_told(pose):
    def change(data):
        data["categories"].append({"id": 2, "name": "lower", "keypoints": ["left_hip", "left_knee"]})
        for number, one in enumerate(data["annotations"][:2], start=10):
            other = {**one, "id": number, "category_id": 2, "keypoints": one["keypoints"][:6]}
            data["annotations"].append(other)

    assert "2 of 'lower'" in found(pose(change), "other_categories", "warning").message


def test_names_in_two_cases_are_no_pair(pose):
    names = ["Nose", "nose", "left_eye", "right_eye"]
    root = pose(names=names)
    assert not [one for one in check_pose(root, augment=None) if one.stops]
    assert load_skeleton(skeleton_file(root, f"keypoints: {json.dumps(names)}")).swap == (0, 1, 3, 2)


def test_points_that_never_occur_are_told(pose):
    def change(points):
        points[3:5] = 0
        return points

    assert "left_ear, right_ear" in found(pose(with_points(change)), "points_never_occur", "note").message
    many = pose(with_points(change), people=120, images=True)
    assert found(many, "points_never_occur", "warning").count == 2


# ------------------------------------------------------------------ images (rows 47 to 52, 57; F15)


def rename(change):
    return lambda data: [one.update(file_name=change(one["file_name"])) for one in data["images"]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda name: f"images\\{name}", "'0001.jpg' is there"),
        (lambda name: f"/data/upload/18/{name}", "'0001.jpg' is there"),
        (lambda name: f"C:\\photos\\{name}", "'0001.jpg' is there"),
        (lambda name: f"../{name}", "'0001.jpg' is there"),
        (lambda name: f"other/{name}", "'0001.jpg' is there"),
        (lambda name: name.upper(), "'0001.jpg' is there: upper and lower case differ"),
        (lambda name: name.replace(".jpg", ".png"), "'0001.jpg' is there: another suffix"),
    ],
)
def test_names_that_are_not_there_say_what_is_and_invent_nothing(pose, change, told):
    with pytest.raises(DataError) as error:
        check_pose_raw(pose(rename(change)))
    text = str(error.value)
    assert told in text
    assert "->" in text  # what to do
    assert "image_id" not in text  # no problem of the annotations
    assert "annotation 1" not in text


def check_pose_raw(root):
    PoseDataModule(str(root), "coco17", (64, 48), val=None, num_workers=0).setup("fit")


def test_a_folder_in_the_name_has_a_setting(pose):
    root = pose(rename(lambda name: f"photos/{name}"))
    (root / "images").rename(root / "photos")
    with pytest.raises(LabelError, match=r"the folder 'photos' is in the name(?s:.)*--data.images \. looks"):
        PoseDataModule(str(root), "coco17", (64, 48), val=None, images="photos").setup("fit")
    assert not [one for one in check_pose(root, images=".") if one.stops or one.warns]
    assert not [one for one in check_pose(root) if one.stops or one.warns]  # found where nothing is set


def test_images_in_another_folder_are_named_with_the_setting(pose):
    root = pose()
    (root / "images").rename(root / "photos")
    (root / "pictures").mkdir()
    with pytest.raises(DataError, match=r"'photos/0001.jpg' is in (?s:.)*--data.images photos looks there"):
        PoseDataModule(str(root), "coco17", (64, 48), val=None, images="pictures").setup("fit")


def test_names_in_another_unicode_form_are_the_same(pose):
    root = pose()
    name = unicodedata.normalize("NFC", "café 1.jpg")
    (root / "images/0001.jpg").rename(root / "images" / unicodedata.normalize("NFD", name))
    path = root / "annotations/train.json"
    data = json.loads(path.read_text())
    data["images"][0]["file_name"] = name
    path.write_text(json.dumps(data))
    module = PoseDataModule(str(root), "coco17", (64, 48), val=None, num_workers=0, augment=None)
    module.setup("fit")
    assert module.datasets["train"][0]["image"].shape == (3, 64, 48)


@pytest.mark.parametrize("layout", ["coco", "roboflow", "named", "mapping"])
def test_folders_of_images_as_people_have_them(tmp_path, pose, layout):
    root = pose()
    new = tmp_path / "new"
    (new / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        folder, file = {
            "coco": (f"images/{split}2017", f"annotations/person_keypoints_{split}2017.json"),
            "roboflow": (split, f"{split}/_annotations.coco.json"),
            "named": (split, f"annotations/{split}.json"),
            "mapping": (f"photos/{split}", f"annotations/{split}.json"),
        }[layout]
        (new / folder).mkdir(parents=True)
        for path in (root / "images").iterdir():
            (new / folder / path.name).write_bytes(path.read_bytes())
        (new / file).write_text((root / "annotations/train.json").read_text())
    files = {
        "coco": {split: f"person_keypoints_{split}2017.json" for split in ("train", "val")},
        "roboflow": {split: f"{split}/_annotations.coco.json" for split in ("train", "val")},
    }.get(layout, {"train": "train.json", "val": "val.json"})
    images = {"images": {"train": "photos/train", "val": "photos/val"}} if layout == "mapping" else {}
    module = PoseDataModule(str(new), "coco17", (64, 48), **files, **images, augment=None, num_workers=0)
    module.setup("fit")
    assert "train" in str(module.files["train"][0].people.path(0))
    assert "val" in str(module.files["val"][0].people.path(0))
    assert module.datasets["train"][0]["image"].shape == (3, 64, 48)
    assert "same_picture_in_splits" in {one.check for one in module.report.findings}


def test_one_bad_row_of_many_stops_or_is_left_out_and_counted(pose):
    def change(data):
        data["annotations"][1]["keypoints"] = [1, 2, 3]
        data["images"][2]["file_name"] = "gone.jpg"
        data["images"][3]["id"] = "four"
        data["annotations"][3]["image_id"] = "four"

    finding = found(pose(change, people=20), "bad_entries", "error")
    assert "--data.on_bad skip" in finding.remedy
    assert finding.count == 3
    finding = found(pose(change, people=20), "bad_entries", "warning", on_bad="skip")
    assert "2 images and 3 annotations" in finding.message
    module = PoseDataModule(str(pose(change, people=20)), "coco17", (64, 48), val=None, on_bad="skip")
    module.setup("fit")
    assert len(module.datasets["train"]) == 17
    assert "3 that cannot be read" in module.describe()


def test_damaged_images_are_replaced_where_bad_ones_are_skipped(pose):
    root = pose()
    (root / "images/0002.jpg").write_bytes(b"")
    assert found(root, "damaged_images", "error").examples[0].file.endswith("0002.jpg")
    module = PoseDataModule(
        str(root), "coco17", (64, 48), val=None, on_bad="skip", augment=None, num_workers=0
    )
    module.setup("fit")
    assert "0003.jpg" in module.datasets["train"][1]["sample"]
    assert module.datasets["train"].bad.count == 1


def test_hidden_files_are_no_images(pose):
    from sapiens2_lit.datamodules.images import find_images

    root = pose() / "images"
    (root / "._0001.jpg").write_bytes(b"\0\5\x16\7")
    (root / ".cache").mkdir()
    (root / ".cache/0009.jpg").write_bytes((root / "0001.jpg").read_bytes())
    names = [path.name for path in find_images(root)]
    assert names == ["0001.jpg", "0002.jpg", "0003.jpg", "0004.jpg"]
    assert [path.name for path in find_images(root / "*")] == names
    assert [path.name for path in find_images(root / "**/*.jpg")] == names


# ------------------------------------------------------------------ types (rows 54 to 61; F13)


@pytest.mark.parametrize("value", ["0", "1", "false", -7, 2.5, [[1, 2]], {}, 2])
def test_iscrowd_is_0_or_1(pose, value):
    finding = found(pose(lambda data: data["annotations"][0].update(iscrowd=value)), "bad_entries", "error")
    assert "`iscrowd` is" in finding.examples[0].found
    assert finding.count == 1


def test_iscrowd_nan_is_told(pose):
    root = pose(lambda data: data["annotations"][0].update(iscrowd=float("nan")))
    assert "`iscrowd` is nan" in found(root, "bad_entries", "error").examples[0].found


@pytest.mark.parametrize("value", [0, 0.0, False, None])
def test_iscrowd_as_tools_write_it(pose, value):
    assert not [one for one in check_pose(pose(put(iscrowd=value))) if one.stops or one.warns]


def test_whole_floats_triples_and_strings_lose_nothing(pose):
    expected = PoseDataModule(str(pose()), "coco17", (64, 48), val=None, augment=None)
    expected.setup("fit")
    expected = expected.files["train"][0].people

    def change(data):
        for image in data["images"]:
            image.update({key: float(image[key]) for key in ("id", "width", "height")})
        for one in data["annotations"]:
            one.update({key: float(one[key]) for key in ("id", "image_id", "category_id")})
            one["keypoints"] = np.reshape(one["keypoints"], (-1, 3)).tolist()

    module = PoseDataModule(str(pose(change)), "coco17", (64, 48), val=None, augment=None)
    module.setup("fit")
    people = module.files["train"][0].people
    np.testing.assert_array_equal(people.points, expected.points)
    np.testing.assert_array_equal(people.annotation_id, expected.annotation_id)
    np.testing.assert_array_equal(people.image_size, expected.image_size)


@pytest.mark.parametrize("key", ["bbox", "keypoints"])
@pytest.mark.parametrize("value", [1e308, 10**25, -1e12])
def test_huge_numbers_are_told_by_name(pose, key, value):
    def change(data):
        data["annotations"][0][key][2 if key == "bbox" else 3] = value

    finding = found(pose(change), "bad_entries", "error")
    assert f"`{key}[" in finding.examples[0].found
    assert "expected pixels" in finding.examples[0].found


def test_integers_of_thousands_of_digits_are_an_error_of_the_file(pose):
    root = pose()
    path = root / "annotations/train.json"
    path.write_text(path.read_text().replace('"area": ', f'"area": {"9" * 5000}, "area2": '))
    with pytest.raises(DataError, match="number that cannot be read"):
        check_pose_raw(root)


def test_most_labels_dropped_warns(pose):
    def change(data):
        for one in data["annotations"][:3]:
            one["iscrowd"] = 1

    assert "3 of 4 labelled people" in found(pose(change), "most_labels_dropped", "warning").message


# ------------------------------------------------------------------ photographs (rows 65, 67) and splits (row 68)


def test_photographs_stored_turned_without_declared_sizes_warn(pose):
    root = pose(lambda data: [(one.pop("width"), one.pop("height")) for one in data["images"]])
    for path in sorted((root / "images").iterdir())[:3]:
        exif = Image.Exif()
        exif[0x112] = 6
        image = Image.open(path).transpose(Image.Transpose.ROTATE_90)
        image.save(path, exif=exif)
    finding = found(root, "turned_images", "warning")
    assert (finding.count, finding.total) == (3, 4)
    assert "upright" in finding.message


def test_wrong_declared_sizes_stop_before_the_first_step(pose):
    root = pose(lambda data: [one.update(width=128, height=96) for one in data["images"]])
    assert found(root, "image_sizes", "error").count == 4


def test_twelve_bits_in_sixteen_warn(pose):
    root = pose(rename(lambda name: name.replace("jpg", "png")), images=False)
    rng = np.random.default_rng(0)
    for number in range(1, 5):
        pixels = rng.integers(0, 4096, (128, 96, 3)).astype(np.uint16)
        cv2.imwrite(str(root / f"images/{number:04d}.png"), pixels)
    assert found(root, "twelve_bits", "warning").count == 4
    for number in range(1, 5):
        pixels = rng.integers(0, 65536, (128, 96, 3)).astype(np.uint16)
        cv2.imwrite(str(root / f"images/{number:04d}.png"), pixels)
    assert not [one for one in check_pose(root) if one.warns]


def test_pictures_in_two_splits_warn_by_name_and_by_content(pose):
    root = pose()
    path = root / "annotations/train.json"
    (root / "annotations/val.json").write_text(path.read_text())
    assert found(root, "same_file_in_splits", "warning", val="val.json").count == 4
    data = json.loads(path.read_text())
    (root / "images/copies").mkdir()
    for image in data["images"]:
        copied = root / "images/copies" / image["file_name"]
        copied.write_bytes((root / "images" / image["file_name"]).read_bytes())
        image["file_name"] = f"copies/{image['file_name']}"
        image["id"] += 100
    for one in data["annotations"]:
        one["image_id"] += 100
    (root / "annotations/val.json").write_text(json.dumps(data))
    finding = found(root, "same_picture_in_splits", "warning", val="val.json")
    assert finding.count == 4
    assert "trained on" in finding.message


# ------------------------------------------------------------------ what is taught


def test_what_is_taught_is_said_in_one_block(pose, caplog):
    def change(data):
        data["annotations"][0]["iscrowd"] = 1
        data["annotations"][1]["keypoints"][:3] = [0, 0, 0]

    with caplog.at_level("INFO"):
        check_pose(pose(change))
    (block,) = [one.message for one in caplog.records if one.message.startswith("What is taught")]
    for part in (
        "3 people in 3 of 4 pictures",
        "17 of the 17 points of coco17",
        "nose 2",
        "left_eye 3",
        "1 crowds",
    ):
        assert part in block


def test_all_problems_come_together(pose):
    change = both(
        put(area=0),
        scaled(1 / 96, 1 / 128, boxes=False),
        lambda data: data["annotations"][0].update(iscrowd="0"),
    )
    with pytest.raises(LabelError) as error:
        check_pose_raw(pose(change))
    names = {one.check for one in error.value.report.findings}
    assert {"areas", "unit_coordinates", "bad_entries"} <= names
