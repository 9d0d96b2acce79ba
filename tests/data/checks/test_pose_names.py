"""Names of keypoints and their mirror partners: what must not be learned in silence."""

import json

import pytest
from pose_files import BODY, check_pose, found, skeleton_file, with_points

from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import load_skeleton

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
    names = ["nose", "left_eye", "right_eye", "left_ear", "tail_right"]
    root = pose(names=names)
    skeleton = skeleton_file(root, f"keypoints: {json.dumps(names)}\n")
    assert "left_ear, tail_right" in found(root, "no_mirror_pairs", "warning", skeleton).message


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
    finding = found(pose(names=["neck", "nose"]), "few_known_points", "warning", "sociopticon308")
    assert finding.count == 0
    assert "the other 306 have no labels here" in finding.message
    assert "to predict only these points: " in finding.remedy and "train.json" in finding.remedy


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
