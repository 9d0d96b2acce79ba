"""One spelling for every way to write a name, and mirror partners found by it."""

import pytest

from sapiens2_lit.vocabularies import load_classes, load_skeleton
from sapiens2_lit.vocabularies.skeleton_loader import SHIPPED
from sapiens2_lit.vocabularies.spelling import by_spelling, guess_swap, mirror, same_names, spell

WRITTEN = {
    "left_eye": ["L_Eye", "eyeL", "l-eye", "Left Eye", "EYE_L", "LEFT EYE", "leftEye", "LEye", "lefteye", "leye"],
    "right_shoulder": ["RShoulder", "Right Shoulder", "rshoulder", "shoulder_r", "RSHOULDER", "ShoulderR"],
    "left_big_toe": ["LBigToe", "left bigToe", "big_toe_l", "L. big toe"],
    "right_foreleg_1": ["forelegR1", "r_foreleg_01", "foreleg 1 (R)"],
    "left_thumb_4": ["left_thumb4", "LThumb4", "thumb_4_L"],
    "rear": ["Rear", "REAR"],
    "leftover_food": ["Leftover food"],
    "lower_lip": ["LowerLip", "lower-lip"],
    "r": [],
}  # fmt: skip


@pytest.mark.parametrize("canonical", WRITTEN)
def test_all_ways_to_write_a_name_are_one_spelling(canonical):
    assert {name: spell(name) for name in WRITTEN[canonical]} == dict.fromkeys(WRITTEN[canonical], canonical)


def test_spelling_a_spelling_changes_nothing():
    names = [name for names in WRITTEN.values() for name in names]
    names += [name for known in SHIPPED for name in load_skeleton(known).keypoints]
    assert all(spell(spell(name)) == spell(name) for name in names)
    assert all(mirror(mirror(name)) == spell(name) for name in names)


def test_no_two_names_of_a_shipped_vocabulary_are_spelled_alike():
    vocabularies = [load_skeleton(name).keypoints for name in SHIPPED]
    vocabularies += [load_classes(name).names for name in ("body29", "body3")]
    for names in vocabularies:
        assert max(map(len, by_spelling(names).values())) == 1


def test_partners_found_by_name_are_those_of_body_and_hands():
    for name in SHIPPED:
        vocabulary = load_skeleton(name)
        guessed = guess_swap(vocabulary.keypoints)
        for group in {*vocabulary.groups} - {"face"}:
            for place in vocabulary.groups[group]:
                assert guessed[place] == vocabulary.swap[place], vocabulary.keypoints[place]
    classes = load_classes("body29")
    assert guess_swap(classes.names) == classes.swap


def test_own_names_of_the_face_pair_as_the_shipped_ones_do(tmp_path):
    shipped = load_skeleton("sociopticon308")  # the 3 of a clock on one iris mirrors to the 9 on the other
    (tmp_path / "face.yaml").write_text(f"keypoints: {list(reversed(shipped.keypoints[1:]))}")
    own = load_skeleton(tmp_path / "face.yaml")
    for place, partner in enumerate(own.swap):
        wanted = shipped.swap[shipped.keypoints.index(own.keypoints[place])]
        assert own.keypoints[partner] == shipped.keypoints[wanted]
    (tmp_path / "iris.yaml").write_text("keypoints: [l_border_of_iris_3, r_border_of_iris_3, lEye, rEye]")
    assert load_skeleton(tmp_path / "iris.yaml").swap == (0, 1, 3, 2)


@pytest.mark.parametrize(
    "left, right",
    [
        ("L_Eye", "R_Eye"),
        ("eyeL", "eyeR"),
        ("LShoulder", "RShoulder"),
        ("Left-ankle", "right ankle"),
        ("lknee", "RightKnee"),
        ("left", "right"),
        ("left_of_right_hand", "right_of_left_hand"),
    ],
)
def test_partners_are_found_however_they_are_written(left, right):
    assert guess_swap(["nose", left, right]) == (0, 2, 1)


def test_a_side_without_partner_and_a_name_without_side_are_their_own():
    assert guess_swap(["rear", "left_hand", "Nose", "nose"]) == (0, 1, 2, 3)


def test_names_in_two_cases_pair_within_their_case():
    assert guess_swap(["left_eye", "right_eye", "LEFT_EYE", "RIGHT_EYE"]) == (1, 0, 3, 2)


def test_names_that_two_could_be_are_none():
    assert same_names(["L_Eye", "nose"], ["left_eye", "Nose", "nose"]) == {
        "L_Eye": "left_eye",
        "nose": "nose",
    }
    assert same_names(["eyeL", "l_eye"], ["left_eye"]) == {}
