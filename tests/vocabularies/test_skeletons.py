"""Skeletons: the shipped data against the reference, the users' files, and every message about a mistake."""

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import Skeleton, load_skeleton, skeleton_from_category
from sapiens2_lit.vocabularies.skeleton_loader import SHIPPED

REFERENCE = Path(__file__).parent / "reference"  # names, swaps and sigmas as released


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "dog.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "name, file", [("sociopticon308", "keypoints308.json"), ("coco_wholebody133", "keypoints133.json")]
)
def test_shipped_data_is_the_reference(name, file):
    reference = json.loads((REFERENCE / file).read_text())
    skeleton = load_skeleton(name)
    rows = reference["keypoints"]
    assert skeleton.keypoints == tuple(row["name"] for row in rows)
    assert skeleton.swap == tuple(row["swap"] for row in rows)
    assert skeleton.sigmas == tuple(row["sigma"] for row in rows)
    assert skeleton.links == tuple(tuple(link) for link in reference["skeleton"])


def test_308_from_133_pairs_are_those_of_the_reference():
    pairs = json.loads((REFERENCE / "keypoints308.json").read_text())["from_coco_wholebody133"]
    places = load_skeleton("sociopticon308").map_from(load_skeleton("coco_wholebody133"))
    assert places.dtype == np.int64 and places.shape == (308,)
    assert {str(there): here for here, there in enumerate(places) if there >= 0} == pairs


@pytest.mark.parametrize(
    "name, sizes",
    [
        ("coco17", {"body": 17}),
        ("coco_wholebody133", {"body": 17, "feet": 6, "face": 68, "left_hand": 21, "right_hand": 21}),
        (
            "sociopticon308",
            {"body": 17, "feet": 6, "face": 238, "left_hand": 20, "right_hand": 20, "other": 7},
        ),
    ],
)
def test_groups_partition_the_keypoints_and_mirror_each_other(name, sizes):
    skeleton = load_skeleton(name)
    assert {group: len(members) for group, members in skeleton.groups.items()} == sizes
    members = sorted(index for group in skeleton.groups.values() for index in group)
    assert members == list(range(skeleton.num_keypoints))
    mirror = {"left_hand": "right_hand", "right_hand": "left_hand"}
    for group, indices in skeleton.groups.items():
        assert {skeleton.swap[i] for i in indices} == set(skeleton.groups.get(mirror.get(group, group), ()))


@pytest.mark.parametrize("name", SHIPPED)
def test_left_and_right_differ_by_blue_which_color_blind_people_see(name):
    """Red and green are confused most often: the blue channel alone must tell the sides apart."""
    skeleton = load_skeleton(name)
    face = skeleton.groups.get("face", ())
    for index, partner in enumerate(skeleton.swap):
        if partner != index and index not in face:
            assert abs(skeleton.colors[index][2] - skeleton.colors[partner][2]) > 128


def test_coco17_is_the_start_of_133():
    small, large = load_skeleton("coco17"), load_skeleton("coco_wholebody133")
    assert small.keypoints == large.keypoints[:17] and small.sigmas == large.sigmas[:17]
    assert large.map_from(small).tolist() == [*range(17), *[-1] * 116]
    assert small.map_from(small).tolist() == list(range(17))


def test_a_skeleton_passes_through_and_survives_a_worker_process():
    skeleton = load_skeleton("sociopticon308")
    assert load_skeleton(skeleton) is skeleton
    assert pickle.loads(pickle.dumps(skeleton)) == skeleton
    assert hash(skeleton) == hash(load_skeleton("sociopticon308"))


def test_names_alone_are_enough(write):
    dog = load_skeleton(write("keypoints: [nose, left_ear, right_ear, paw_l, paw_r, tail]"))
    assert dog.name == "dog"
    assert dog.swap == (0, 2, 1, 4, 3, 5)
    assert dog.sigmas == (0.05,) * 6
    assert dog.links == () and dog.groups == {}


def test_compact_and_full_forms_say_the_same(write):
    compact = load_skeleton(
        write(
            "{name: dog, keypoints: [nose, one, two], swaps: [[one, two]], sigmas: {nose: 0.03},"
            " links: [[nose, one], [0, 2]], groups: {face: [nose]}}"
        )
    )
    full = load_skeleton(
        write(
            json.dumps(
                {
                    "name": "dog",
                    "keypoints": [
                        {"name": "nose", "sigma": 0.03, "group": "face"},
                        {"name": "one", "swap": "two"},
                        {"name": "two", "swap": 1},
                    ],
                    "links": [["nose", "one"], ["nose", "two"]],
                }
            ),
            "dog.json",
        )
    )
    assert compact == full
    assert full.groups == {"face": (0,), "other": (1, 2)} and full.swap == (0, 2, 1)


def test_category_of_a_coco_file():
    names = ["nose", "left_paw", "right_paw"]
    skeleton = skeleton_from_category(
        {"name": "dog", "keypoints": names, "skeleton": [[1, 2], [1, 3]]}, "dogs"
    )
    assert skeleton.name == "dogs" and skeleton.keypoints == tuple(names)
    assert skeleton.links == ((0, 1), (0, 2)) and skeleton.swap == (0, 2, 1)


def test_category_with_known_keypoints_has_their_sigmas():
    coco17 = load_skeleton("coco17")
    skeleton = skeleton_from_category({"keypoints": list(coco17.keypoints)}, "mine")
    assert skeleton == dataclasses.replace(coco17, name="mine")


MISTAKES = [
    ("keypoints: [a, a]", ["keypoints", "'a' twice"]),
    ("keypoints: []", ["keypoints", "empty"]),
    ("keypoints: nose", ["keypoints", "'nose'", "list"]),
    ("[nose]", ["list", "mapping"]),
    ("keypoints: [3]", ["keypoints", "3"]),
    ("{keypoints: [a], colour: red}", ["colour", "sigmas"]),
    ("{keypoints: [{name: a, sigm: 1}]}", ["'a'", "sigm", "sigma"]),
    ("{keypoints: [a, b], swaps: [[a, c]]}", ["swaps", "'c'"]),
    ("{keypoints: [a, b, c], swaps: [[a, b], [b, c]]}", ["swaps", "partner"]),
    ("{keypoints: [{name: a, swap: b}, {name: b}, c]}", ["swap", "'a'", "'b'"]),
    ("{keypoints: [{name: a, swap: b}, b], swaps: [[a, b]]}", ["swaps", "swap"]),
    ("{keypoints: [a, b], sigmas: [0.1]}", ["sigmas", "1 entries", "2"]),
    ("{keypoints: [a, b], sigmas: {a: 0}}", ["sigmas", "'a'", "0.0", "positive"]),
    ("{keypoints: [a, b], sigmas: {a: -.inf}}", ["sigmas", "-inf"]),
    ("{keypoints: [a, b], sigmas: {a: wide}}", ["sigmas", "'wide'"]),
    ("{keypoints: [a, b], sigmas: {c: 0.1}}", ["sigmas", "'c'"]),
    ("{keypoints: [a, b], links: [[a, c]]}", ["links", "'c'"]),
    ("{keypoints: [a, b], links: [[a, a]]}", ["links", "different"]),
    ("{keypoints: [a, b], links: [a]}", ["links", "'a'", "pairs"]),
    ("{keypoints: [a, b], groups: {body: [c]}}", ["groups.body", "'c'"]),
    ("{keypoints: [a, b], groups: {body: [a, a]}}", ["groups.body", "twice"]),
    ("{keypoints: [{name: a, color: [1, 2]}]}", ["color", "[1, 2]"]),
    ("{keypoints: [{name: a, color: [1, 2, 300]}]}", ["colors", "300"]),
    ("{keypoints: [a", ["YAML"]),
]


@pytest.mark.parametrize("text, words", MISTAKES, ids=[text for text, _ in MISTAKES])
def test_mistakes_are_named_with_file_and_field(write, text, words):
    with pytest.raises(SettingError) as caught:
        load_skeleton(write(text))
    for word in ["dog.yaml", *words]:
        assert word in str(caught.value)
    assert type(caught.value)(str(caught.value)).args == (str(caught.value),)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(SettingError, match=r"coco18.*coco17.*coco_wholebody133.*sociopticon308.*yaml"):
        load_skeleton("coco18")
    with pytest.raises(SettingError, match=r"nowhere\.yaml.*No such file"):
        load_skeleton("nowhere.yaml")


@pytest.mark.parametrize(
    "category, word",
    [
        ({}, "keypoints"),
        ({"keypoints": ["a", "b"], "skeleton": [[0, 1]]}, "1-based"),
        ({"keypoints": ["a", "b"], "skeleton": [[1, 3]]}, "links"),
    ],
)
def test_mistakes_of_categories(category, word):
    with pytest.raises(SettingError, match=word):
        skeleton_from_category(category, "dogs")


def test_a_skeleton_made_by_hand_is_checked():
    with pytest.raises(SettingError, match=r"hand.*swap.*index 5"):
        Skeleton("hand", ("a", "b"), (0, 5), (0.1, 0.1), (), {}, ((0, 0, 0),) * 2)
