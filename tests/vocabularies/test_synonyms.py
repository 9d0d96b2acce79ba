"""Names of one vocabulary found in another."""

import pytest
import yaml
from own_points import OWN_POINTS

from sapiens2_lit.vocabularies import load_classes, load_skeleton, synonyms
from sapiens2_lit.vocabularies.skeleton_loader import SHIPPED
from sapiens2_lit.vocabularies.spelling import mirror, spell
from sapiens2_lit.vocabularies.synonyms import match_names, meaning

KNOWN = {
    "keypoints": {spell(name) for one in SHIPPED for name in load_skeleton(one).keypoints},
    "classes": {spell(name) for name in load_classes("body29").names},
}


def found(wanted, known, kind="keypoints"):
    return {one.name: (one.source, one.how) for one in match_names(wanted, known, kind) if one}


def test_all_24_own_points_are_among_the_308():
    matches = match_names([*OWN_POINTS], load_skeleton("sociopticon308").keypoints, "keypoints")
    assert {one.name: one.source for one in matches if one} == OWN_POINTS
    assert [one.place for one in matches] == list(range(24))


@pytest.mark.parametrize(
    "small, large, count", [("coco17", "coco_wholebody133", 17), ("coco17", "sociopticon308", 17)]
)
def test_smaller_vocabularies_are_in_the_larger(small, large, count):
    small, large = load_skeleton(small).keypoints, load_skeleton(large).keypoints
    assert sum(one is not None for one in match_names(small, large, "keypoints")) == count


def test_of_the_133_all_but_dense_outlines_of_the_face_are_among_the_308():
    names = load_skeleton("coco_wholebody133").keypoints
    matches = match_names(names, load_skeleton("sociopticon308").keypoints, "keypoints")
    assert all(one for name, one in zip(names, matches, strict=True) if not name.startswith("face"))
    sources = {one.name: one.source for one in matches if one}
    assert sources["left_forefinger1"] == "left_forefinger_third_joint"
    assert sources["right_hand_root"] == "right_wrist" == sources["right_wrist"]
    assert sources["face-36"] == "r_outer_end_of_upper_lash_line"


def test_mirrored_names_are_found_as_mirrored_names():
    for one in SHIPPED:
        skeleton = load_skeleton(one)
        matches = match_names(skeleton.keypoints, load_skeleton("sociopticon308").keypoints, "keypoints")
        for place, match in enumerate(matches):
            other = matches[skeleton.swap[place]]
            if match and other and skeleton.keypoints[place].startswith("face"):
                assert mirror(match.source) == spell(other.source)


def test_every_list_is_of_names_that_only_it_has_and_one_is_shipped():
    path = synonyms.resources.files("sapiens2_lit.vocabularies").joinpath("synonyms.yaml")
    for kind, lists in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        spelled = [spell(name) for names in lists for name in names]
        assert len(spelled) == len(set(spelled))
        for names in lists:
            sided = {f"{side}{spell(name)}" for name in names for side in ("", "left_", "right_")}
            assert sided & KNOWN[kind], names


@pytest.mark.parametrize(
    "name, source, how",
    [
        ("Hair", "Hair", "name"),
        ("left shoe", "Left_Shoe", "spelling"),
        ("Right-leg", "Right_Lower_Leg", "synonym"),
        ("UpperClothes", "Upper_Clothing", "synonym"),
        ("face", "Face_Neck", "synonym"),
        ("Sunglasses", "Eyeglass", "synonym"),
    ],
)
def test_classes_of_other_datasets(name, source, how):
    assert found([name], load_classes("body29").names, "classes") == {name: (source, how)}


def test_what_is_not_there_or_not_sure_is_not_found():
    assert found(["tail", "eye"], ["left_eye", "right_eye"]) == {}
    assert found(["eyeL", "l_eye"], ["left_eye"]) == {}
    assert meaning("tail", "keypoints") == "tail"
