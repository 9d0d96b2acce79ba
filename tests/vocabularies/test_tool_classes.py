"""Classes out of a tool's labels, and vocabularies in configurations that go where the files do not."""

import json
from pathlib import Path

import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import load_classes
from sapiens2_lit.vocabularies.written_out import is_file_name, written_out


def write_labelme(folder: Path, name: str, *shapes: tuple[str, str]) -> None:
    found = [
        {"label": label, "shape_type": kind, "points": [[0, 0], [9, 0], [9, 9]]} for label, kind in shapes
    ]
    (folder / f"{name}.json").write_text(json.dumps({"version": "5.5.0", "shapes": found}))


def test_the_outlines_of_a_labelme_folder_name_its_classes(tmp_path: Path) -> None:
    write_labelme(tmp_path, "a", ("shirt", "polygon"), ("nose", "point"), ("hair", "mask"))
    write_labelme(tmp_path, "b", ("hair", "rectangle"))
    (tmp_path / "other.json").write_text("[1, 2]")
    assert load_classes(str(tmp_path)).names == ("background", "hair", "shirt")
    write_labelme(tmp_path, "c", ("Background", "polygon"))
    assert load_classes(str(tmp_path)).names == ("Background", "hair", "shirt")
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(SettingError, match=r"d\.json cannot be read as JSON"):
        load_classes(str(tmp_path))


def test_a_folder_without_outlines_is_no_vocabulary(tmp_path: Path) -> None:
    write_labelme(tmp_path, "a", ("nose", "point"))
    with pytest.raises(SettingError, match="no outline in it, expected JSON files of LabelMe"):
        load_classes(str(tmp_path))


def test_the_outlines_of_cvat_name_its_classes(tmp_path: Path) -> None:
    labels = [("person", "skeleton"), ("coat", "polygon"), ("nose", "points")]
    meta = "".join(f"<label><name>{name}</name><type>{kind}</type></label>" for name, kind in labels)
    shapes = '<polygon label="person" points="0,0;9,0;9,9"/><mask label="hat"/><points label="nose"/>'
    path = tmp_path / "annotations.xml"
    text = f"<annotations><meta><labels>{meta}</labels></meta><image>{shapes}</image></annotations>"
    path.write_text(text)
    assert load_classes(str(path)).names == ("background", "person", "coat", "hat")
    path.write_text(f"<!DOCTYPE a>{text}")
    with pytest.raises(SettingError, match="declares a document type"):
        load_classes(str(path))
    path.write_text("<annotations><image/></annotations>")
    with pytest.raises(SettingError, match="no outline in it"):
        load_classes(str(path))


@pytest.mark.parametrize("name", ["labelmap.txt", "classes.yaml"])
def test_colored_classes_are_written_out_without_the_colors_of_their_masks(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    colored = "classes: [{name: background, color: [0, 0, 0]}, {name: coat, color: [9, 8, 7]}]"
    path.write_text("background:0,0,0::\ncoat:9,8,7::\n" if name.endswith(".txt") else colored)
    classes = load_classes(str(path))
    assert (9, 8, 7) in classes.mask_colors
    found = written_out(classes)
    assert json.loads(json.dumps(found)) == found
    assert found["names"] == ["background", "coat"] and found["colors"][1] == [9, 8, 7]
    assert not found["mask_colors"]


def test_what_is_shipped_is_no_file_whatever_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body29").mkdir()
    (tmp_path / "mine").mkdir()
    assert not any(map(is_file_name, ("body29", "coco17", "sapiens308", "mien")))
    assert all(map(is_file_name, ("mine", "labelmap.txt", "annotations.xml", "a.YAML")))
