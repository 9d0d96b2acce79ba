"""Types and numbers of keypoint files, and what is said at the start."""

import numpy as np
import pytest
from pose_files import both, check_pose, check_pose_raw, found, put, scaled

from sapiens2_lit.data.checks import LabelError
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.errors import DataError


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

    assert "3 of 4 labeled people" in found(pose(change), "most_labels_dropped", "warning").message


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
