"""Units, sentinels and places of keypoints: what must not be learned in silence, each kind in several forms."""

import pytest
from pose_files import average_precision, check_pose, found, scaled, with_points

from sapiens2_lit.data.checks import LabelError
from sapiens2_lit.datamodules import PoseDataModule


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
    assert "percent" in found(root, "per_cent_coordinates", "error").message


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


def test_occluded_points_outside_a_box_of_what_is_seen_are_right(pose):
    def change(data):
        data["annotations"][0]["bbox"] = [1, 1, 8, 8]
        data["annotations"][0]["keypoints"][2::3] = [
            min(v, 1) for v in data["annotations"][0]["keypoints"][2::3]
        ]

    assert not [one for one in check_pose(pose(change)) if one.check == "points_outside_box"]


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
