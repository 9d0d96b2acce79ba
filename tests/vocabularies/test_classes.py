"""Class vocabularies: the shipped one, the users' files, and every message about a mistake."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.vocabularies import IGNORED, load_classes


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_body29_is_the_released_vocabulary() -> None:
    classes = load_classes("body29")
    assert [name.upper() for name in classes.names] == [label.name for label in BodyClass]
    pairs = {(index, partner) for index, partner in enumerate(classes.swap) if index < partner}
    assert pairs == {(5, 14), (6, 15), (7, 16), (8, 17), (9, 18), (10, 19), (11, 20), (12, 21)}
    assert classes.background == 0
    assert classes.weights == (
        0.1, 10, 10, 3, 2, 4, 4, 2, 2, 6, 10, 3, 3, 1, 4, 4, 2, 2, 6, 10, 3, 3, 1, 1, 10, 10, 10, 10, 10,
    )  # fmt: skip
    assert len(set(classes.colors)) == 29, "every class has a colour of its own"


def test_masks_of_body29_are_read_as_they_stand() -> None:
    table = load_classes("body29").lookup()
    assert (table[:29] == np.arange(29)).all()
    assert table[255] == IGNORED
    assert (table[29:255] == -1).all()


def test_a_file_of_names_needs_nothing_else(write) -> None:
    classes = load_classes(write("classes: [background, left_shoe, right_shoe, hat]"))
    assert classes.name == "mine"
    assert classes.swap == (0, 2, 1, 3)
    assert classes.weights == (1, 1, 1, 1)
    assert classes.background == 0
    assert len(set(classes.colors)) == 4
    assert pickle.loads(pickle.dumps(classes)) == classes, "loader workers get a copy"


def test_everything_can_be_said(write) -> None:
    classes = load_classes(
        write(
            """
            name: clothes
            classes: [{name: nothing, color: [1, 2, 3]}, sock_a, sock_b, {name: hat, weight: 3}]
            swaps: [[sock_a, sock_b]]
            weights: {sock_a: 2.5}
            background: nothing
            ignore_index: [255, 7]
            remap: {0: nothing, 1: hat, 2: 3, 40: sock_a, 41: ignore}
            """
        )
    )
    assert classes.swap == (0, 2, 1, 3)
    assert classes.weights == (1, 2.5, 1, 3)
    assert classes.colors[0] == (1, 2, 3)
    table = classes.lookup()
    assert table[[0, 1, 2, 40, 41, 255, 7]].tolist() == [0, 3, 3, 1, IGNORED, IGNORED, IGNORED]
    assert table[3] == -1, "with remap, a value that is not listed is an error"


def test_json_says_the_same(write) -> None:
    yaml = write("{classes: [nothing, hat], remap: {0: nothing, 40: hat, 41: ignore}}")
    json = '{"classes": ["nothing", "hat"], "remap": {"0": "nothing", "40": "hat", "41": "ignore"}}'
    found = load_classes(write(json, "mine.json"))
    assert found == load_classes(yaml)
    assert found.lookup()[[0, 40, 41]].tolist() == [0, 1, IGNORED]


def test_swapping_twice_is_the_identity_and_ignored_stays() -> None:
    table = load_classes("body29").swap_table()
    assert (table[table] == np.arange(256)).all()
    assert table[IGNORED] == IGNORED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a, b]", "mine.yaml: found list, expected a mapping"),
        ("names: [a]", "mine.yaml: `names` is unknown, expected aliases, background, classes"),
        ("name: x", "mine.yaml: `classes` is None, expected a list"),
        ("classes: []", "`classes` has 0 names"),
        ("classes: [a, a]", "`classes` has 'a' twice"),
        ("classes: [{weight: 1}]", "expected names or mappings with `name`"),
        ("classes: [a, {name: b, colour: 3}]", "class 'b': `colour` is unknown"),
        ("{classes: [a, b], swaps: [[a, c]]}", "`swaps` names 'c', expected a class's name"),
        ("{classes: [a, b, c], swaps: [[a, b], [b, c]]}", "already has a partner"),
        ("{classes: [a, b], weights: [1]}", "`weights` has 1 entries, expected 2"),
        ("{classes: [a, b], weights: {a: -1}}", "`weights` of 'a' is -1.0"),
        ("{classes: [a], weights: {a: 0}}", "`weights` are all 0"),
        ("{classes: [a], weights: {z: 1}}", "`weights` names 'z'"),
        ("{classes: [a], background: b}", "`background` names 'b'"),
        ("{classes: [a], ignore_index: no}", "`ignore_index` is False"),
        ("{classes: [a], ignore_index: 300}", "has the mask value 300, expected 0..255"),
        ("{classes: [a], remap: {x: a}}", "`remap` is {'x': 'a'}, expected a mapping of mask values"),
        (
            "{classes: [a, b], remap: {1: a, '1': b}}",
            "expected a mapping of mask values, each once, to classes",
        ),
        ("{classes: [a], remap: {'-1': a}}", "expected a mapping of mask values, each once, to classes"),
        ("{classes: [a], remap: {1: b}}", "`remap` names 'b'"),
        ("{classes: [{name: a, color: red}]}", "`color` of 'a' is 'red'"),
        ("classes: [a", "is not valid YAML"),
    ],
)
def test_mistakes_name_file_and_field(write, text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        load_classes(write(text))
    assert message in str(caught.value)
    assert "mine" in str(caught.value)


def test_unknown_names_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="classes 'body30' are unknown: expected one of body29"):
        load_classes("body30")
    with pytest.raises(SettingError, match=r"absent.yaml cannot be read: No such file"):
        load_classes(tmp_path / "absent.yaml")
