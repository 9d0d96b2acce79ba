"""Skeletons out of COCO files, and what such a file may say wrongly."""

import json
import logging
from pathlib import Path

import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import load_skeleton

PERSON = {"name": "person", "keypoints": ["nose", "L_Eye", "R_Eye", "badge"], "skeleton": [[1, 2], [1, 3]]}


def load(folder: Path, *categories: dict):
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    return load_skeleton(path)


def test_names_lines_partners_and_sigmas(tmp_path):
    skeleton = load(tmp_path, {"name": "car"}, PERSON)
    coco17 = load_skeleton("coco17")
    assert skeleton.name == "person" and skeleton.keypoints == tuple(PERSON["keypoints"])
    assert skeleton.links == ((0, 1), (0, 2)) and skeleton.swap == (0, 2, 1, 3)
    assert skeleton.sigmas == (*coco17.sigmas[:3], 0.05)


def test_a_file_that_changes_is_read_again(tmp_path):
    assert load(tmp_path, PERSON).num_keypoints == 4
    assert load(tmp_path, PERSON | {"keypoints": ["nose", "neck", "hip"]}).num_keypoints == 3


def test_lines_that_do_not_fit_are_left_out_with_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path, PERSON | {"skeleton": [[1, 2], [9, 1]]}).links == ()
    assert "[9, 1]" in caplog.text and "labels.json" in caplog.text


@pytest.mark.parametrize(
    "categories, said",
    [
        ([], ["labels.json", "(none)", "keypoints: [nose"]),
        ([{"name": "person", "keypoints": []}, {"name": "car"}], ["'person', 'car'", ".yaml"]),
        ([PERSON, {"name": "dog", "keypoints": ["nose", "tail"]}],
         ["2 categories", "'person' with nose, L_Eye, R_Eye, badge", "'dog' with nose, tail", ".yaml"]),
        ([PERSON | {"keypoints": ["nose", "nose"]}], ["'person'", "'nose' twice"]),
    ],
)  # fmt: skip
def test_files_without_one_skeleton_say_what_they_have(tmp_path, categories, said):
    with pytest.raises(SettingError) as raised:
        load(tmp_path, *categories)
    assert [part for part in said if part not in str(raised.value)] == []


def test_several_categories_of_the_same_points_are_one_skeleton(tmp_path):
    assert load(tmp_path, PERSON | {"name": "guest"}, PERSON | {"name": "host"}).name == "guest"
