"""What cannot be meant, or may be meant in two ways, is one clear error before training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tool_folders as tools
from PIL import Image
from tool_folders import Source

from sapiens2_lit.datamodules import PoseDataModule, SegmentationDataModule
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.vocabularies import load_classes, load_skeleton

SIZE = (64, 48)


def pose(root: Path, skeleton: str | Path = "coco17", **settings: Any) -> PoseDataModule:
    data = PoseDataModule(str(root), str(skeleton), SIZE, num_workers=0, augment=None, **settings)
    data.setup("fit")
    return data


def masks(root: Path, classes: str | Path, **settings: Any) -> SegmentationDataModule:
    data = SegmentationDataModule(str(root), SIZE, str(classes), num_workers=0, augment=None, **settings)
    data.setup("fit")
    return data


def test_two_datasets_are_both_named_with_what_to_type(source: Source, tmp_path: Path) -> None:
    tools.yolo_pose(source, tmp_path)
    tools.coco2017(source, tmp_path)
    with pytest.raises(DataError, match="2 datasets are possible") as caught:
        pose(tmp_path)
    text = str(caught.value)
    assert "--data.train data.yaml" in text
    assert (
        "--data.train annotations/person_keypoints_train2017.json --data.val annotations/person_keyp" in text
    )
    assert len(pose(tmp_path, train="data.yaml").datasets["val"]) == 3
    files = [f"annotations/person_keypoints_{split}2017.json" for split in ("train", "val")]
    assert len(pose(tmp_path, train=files[0], val=files[1]).datasets["val"]) == 3


def test_a_folder_of_no_tool_says_what_was_tried_and_found(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "labels.csv").write_text("a,b\n")
    with pytest.raises(
        DataError, match=r"`data.train` is 'annotations/train.json', and there is no"
    ) as caught:
        pose(tmp_path)
    text = str(caught.value)
    for told in ("YOLO: a data.yaml", "CVAT for images: annotations.xml", "Found: labels.csv, photos/"):
        assert told in text


def test_a_mistyped_file_names_the_nearest(tmp_path: Path) -> None:
    tools.write_json(tmp_path / "annotations/person_keypoints_default.json", {})
    with pytest.raises(
        DataError, match=r"no such file .* Did you mean annotations/person_keypoints_default\.json\?"
    ):
        pose(tmp_path, train="person_keypoints_defualt.json")
    with pytest.raises(DataError, match="no such file") as caught:
        pose(tmp_path, train="zzz.csv")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.json",
            '{"shapes": [], "imagePath": "a.jpg"}',
            r"a LabelMe file, .* give the folder that it is in",
        ),
        ("a.json", '{"nothing": 1}', r"the key 'images' is missing; found \['nothing'\]"),
        ("a.yaml", "train: x", r"expected a data.yaml of YOLO with `names`"),
        ("a.yaml", "train: x\nnames: [a]", r"`kpt_shape` is missing, so it has no keypoints"),
        ("a.yaml", "train: x\nnames: [a]\nkpt_shape: [17]", r"`kpt_shape` is \[17\], expected \[number"),
        ("a.yaml", "train: x\nnames: [a]\nkpt_shape: [17, 3]", r"`train` is 'x', and there is no such place"),
        ("a.xml", "<annotation/>", r"found <annotation>, expected <annotations> of CVAT"),
        (
            "a.xml",
            "<annotations><track/></annotations>",
            r"tracks of a video: export as `CVAT for images 1.1`",
        ),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', r"declares a document type"),
        ("a.xml", "<annotations><im", r"cannot be read as XML, truncated"),
        ("a.csv", "x", r"no labels that can be read, expected COCO .*; YOLO"),
    ],
)
def test_a_file_that_is_another_than_it_seems(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        pose(tmp_path, train=name, val=None)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", r"000000.txt, line 1: has 4 numbers, expected 56: class, box, and 17 x 3"),
        ("3 0.5 0.5 0.1 0.1", r"the class is 3, expected one of 0..0"),
        ("0 50 50 10 10", r"the box: found 50, expected shares of the picture in 0..1, not pixels"),
        ("0 a b c d", r"found '0 a b c d', expected numbers"),
        ("0 0.5 0.5 0.1 nan", r"a number that is not finite"),
    ],
)
def test_lines_of_yolo_are_named_or_left_out(source: Source, tmp_path: Path, line: str, message: str) -> None:
    tools.yolo_pose(source, tmp_path)
    file = tmp_path / "labels/train/000000.txt"
    people = len(pose(tmp_path).datasets["train"])
    file.write_text(line + "\n" + file.read_text())
    with pytest.raises(DataError, match=message):
        pose(tmp_path)
    assert len(pose(tmp_path, on_bad="skip").datasets["train"]) == people


def test_points_of_yolo_in_another_order_are_refused_and_its_own_are_taken(
    source: Source, tmp_path: Path
) -> None:
    tools.yolo_pose(source, tmp_path)
    text = (tmp_path / "data.yaml").read_text().replace("[0, 2, 1, 4, 3,", "[1, 0, 2, 4, 3,")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(
        DataError, match=r"`flip_idx` pairs 0 with 1, where coco17 .*--model.heads.NAME.skeleton"
    ):
        pose(tmp_path)
    skeleton = load_skeleton(tmp_path / "data.yaml")
    assert skeleton.swap[:5] == (1, 0, 2, 4, 3)
    assert len(pose(tmp_path, tmp_path / "data.yaml").datasets["train"]) == 7


def test_paths_of_yolo_in_every_form(source: Source, tmp_path: Path) -> None:
    tools.yolo_pose(source, tmp_path)
    text = (tmp_path / "data.yaml").read_text()
    names = sorted(path.name for path in (tmp_path / "images/train").iterdir())
    (tmp_path / "train.txt").write_text("".join(f"./images/train/{name}\n" for name in names))
    (tmp_path / "server.txt").write_text("".join(f"/home/me/data/images/train/{name}\n" for name in names))
    for form in (
        "../train/../images/train",
        "[images/train]",
        "train.txt",
        "server.txt",
        "/data/me/images/train",
    ):
        (tmp_path / "data.yaml").write_text(text.replace("train: images/train", f"train: {form}"))
        assert len(pose(tmp_path).datasets["train"]) == 7, form
    (tmp_path / "train.txt").write_text("images/train/gone.jpg\n")
    (tmp_path / "data.yaml").write_text(text.replace("train: images/train", "train: train.txt"))
    with pytest.raises(
        DataError, match=r"train.txt: 1 of its 1 pictures are not there, such as 'images/train/gone"
    ):
        pose(tmp_path)


def test_colors_that_are_no_class_are_counted_with_the_nearest(source: Source, tmp_path: Path) -> None:
    tools.cvat_masks(source, tmp_path)
    for path in (tmp_path / "SegmentationClass").iterdir():
        pixels = np.array(Image.open(path))
        pixels[0, :7] = (250, 50, 80)
        Image.fromarray(pixels).save(path)
    with pytest.raises(DataError, match=r"\(250, 50, 80\) of 7 pixels \(nearest: 'person' \(250, 50, 83\)\)"):
        masks(tmp_path, tmp_path / "labelmap.txt", val=0.25)
    (tmp_path / "own.yaml").write_text(
        "classes: [{name: background, color: [0, 0, 0]}, {name: person, color: [250, 50, 83]}]\n"
        "ignore_colors: [[250, 50, 80]]"
    )
    data = masks(tmp_path, tmp_path / "own.yaml", val=0.25).datasets["train"]
    values = data.label_sources[0].read(data.folder / "x", Path(data.names[0]).stem, tools.SIZE)
    assert (values[0, :7] == 255).all()


def test_palettes_are_colors_where_the_labelmap_says_so(source: Source, tmp_path: Path) -> None:
    tools.cvat_masks(source, tmp_path)
    for path in (tmp_path / "SegmentationClass").iterdir():
        Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=2).save(path)
    data = masks(tmp_path, tmp_path / "labelmap.txt", val=0.25).datasets["train"]
    name = str(data.names[0])
    found = data.label_sources[0].read(data.folder / name, Path(name).stem, tools.SIZE)
    np.testing.assert_array_equal(found, source.masks[name])


def test_names_that_are_no_class_name_the_nearest(source: Source, tmp_path: Path) -> None:
    tools.yolo_segment(source, tmp_path)
    (tmp_path / "own.yaml").write_text("classes: [background, persons, hat]")
    with pytest.raises(
        DataError, match=r"1 class is none of own: 'person' \(nearest: 'persons'\).*aliases: {person"
    ):
        masks(tmp_path, tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text("classes: [background, persons, hat]\naliases: {person: hat}")
    data = masks(tmp_path, tmp_path / "own.yaml", allow=["absent_classes"])
    assert data.count_classes()[2] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [("background", r"line 1: found 'background', expected `name:red"), ("# nothing\n", r"no class in it")],
)
def test_what_is_no_labelmap(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labelmap.txt").write_text(text)
    with pytest.raises(SettingError, match=message):
        load_classes(tmp_path / "labelmap.txt")


def test_pictures_that_were_not_exported(source: Source, tmp_path: Path) -> None:
    tools.cvat_masks(source, tmp_path)
    (tmp_path / "JPEGImages").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"not JPEGImages: export with `Save images`"):
        masks(tmp_path, tmp_path / "labelmap.txt", val=0.25)


def test_points_of_labelme_need_groups_where_there_are_several_people(source: Source, tmp_path: Path) -> None:
    tools.labelme(source, tmp_path)
    path = tmp_path / "000000.json"
    data = json.loads(path.read_text())
    for shape in data["shapes"]:
        shape["group_id"] = None
    data["shapes"] += data["shapes"]
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"000000.json, nose: occurs twice in one person: give .* `group_id`"):
        pose(tmp_path, val=0.25)


def test_no_validation_split_says_how_to_get_one(source: Source, tmp_path: Path) -> None:
    tools.cvat_coco(source, tmp_path)
    with pytest.raises(DataError, match=r"`data.val` .* share of the training pictures such as 0.1"):
        pose(tmp_path)
    assert set(pose(tmp_path, val=None).datasets) == {"train"}


def check(function: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        function()


def test_shares_that_are_none(tmp_path: Path) -> None:
    for value in (0.0, 1.0, 2.0, -0.5):
        check(
            lambda value=value: PoseDataModule(str(tmp_path), "coco17", SIZE, val=value), r"expected a share"
        )
        check(lambda value=value: SegmentationDataModule(str(tmp_path), SIZE, val=value), r"expected a share")
