"""Boxes and areas of keypoint files: what must not be learned in silence, each kind in several forms."""

import json

import numpy as np
import pytest
from pose_files import average_precision, check_pose, each, found, put

from sapiens2_lit.data.checks.pose_repairs import AREA_OF_BOX
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.metrics import KeypointAP
from sapiens2_lit.vocabularies import load_skeleton


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
