"""Pseudo-labels in training: confidence, a teacher's other classes, and true labels beside."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pseudo_folders import NAMES, SIZE, write_pseudo

from sapiens2_lit.data.labels.confidence import Confidence
from sapiens2_lit.data.pseudo.origin import NAME
from sapiens2_lit.datamodules import (
    MattingDataModule,
    MultitaskDataModule,
    NormalDataModule,
    PoseDataModule,
    SegmentationDataModule,
)
from sapiens2_lit.errors import DataError, SettingError

HALF = SIZE[1] // 2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pseudo(tmp_path / "pseudo")


def build(kind: Any, root: Path, **settings: Any) -> Any:
    """A datamodule whose training samples are the pictures as they are."""
    return kind(
        str(root),
        **{"image_size": SIZE, "val": None, "test": None, "augment": None, "num_workers": 0} | settings,
    )


def samples(kind: Any, root: Path, **settings: Any) -> list[dict[str, Any]]:
    data = build(kind, root, **settings)
    data.setup("fit")
    return [data.datasets["train"][index] for index in range(len(data.datasets["train"]))]


@pytest.mark.parametrize(
    ("kind", "key"),
    [(SegmentationDataModule, "segmentation"), (NormalDataModule, "normal"), (MattingDataModule, "alpha")],
)
def test_unsure_pixels_do_not_count_and_others_weigh(root: Path, kind: Any, key: str) -> None:
    plain = samples(kind, root)
    for found, before in zip(samples(kind, root, confidence=Confidence(0.5, True)), plain, strict=True):
        left, right = found[key][..., :HALF], found[key][..., HALF:]
        assert torch.equal(left, before[key][..., :HALF])
        nothing = {"segmentation": right == 255, "normal": right == 0, "alpha": right.isnan()}[key]
        assert nothing.all()
        if key == "normal":
            assert found["valid"][..., :HALF].all() and not found["valid"][..., HALF:].any()
        torch.testing.assert_close(found["weight"][..., :HALF], torch.full((1, SIZE[0], HALF), 0.8))
        assert not found["weight"][..., HALF:].any()
    for found, before in zip(samples(kind, root, confidence=Confidence(0.3)), plain, strict=True):
        assert found.keys() == before.keys()
        assert all(torch.equal(found[one], before[one]) for one in found if one != "sample")


def test_unsure_points_are_unlabelled_and_others_weigh(root: Path) -> None:
    settings: dict[str, Any] = {"skeleton": "coco17", "padding": 1.0}
    plain = samples(PoseDataModule, root, **settings)
    scores = torch.linspace(0.2, 1, 17)
    for found, before in zip(
        samples(PoseDataModule, root, confidence=Confidence(0.5, True), **settings), plain, strict=True
    ):
        seen = (before["keypoints"][:, 2] > 0) & (scores >= 0.5)
        assert torch.equal(found["keypoints"][:, 2] > 0, seen)
        assert torch.equal(found["keypoints"][seen], before["keypoints"][seen])
        torch.testing.assert_close(found["keypoint_weight"], torch.where(seen, scores, 0), atol=1e-3, rtol=0)
        assert "keypoint_weight" not in before


def test_scores_change_sides_with_their_points(root: Path) -> None:
    from sapiens2_lit.transforms.pose import PoseAugmentation

    always = PoseAugmentation(
        flip=1.0,
        half_body=0,
        shift=0,
        scale=(1, 1),
        rotation=0,
        photometric=0,
        blur=0,
        median_blur=0,
        dropout=0,
    )
    found = samples(
        PoseDataModule,
        root,
        skeleton="coco17",
        padding=1.0,
        augment=always,
        confidence=Confidence(weight=True),
    )
    nose, left_eye, right_eye = (found[0]["keypoint_weight"][index].item() for index in (0, 1, 2))
    assert (nose, left_eye, right_eye) == pytest.approx((0.2, 0.3, 0.25))


def test_confidence_of_labels_without_any_names_what_is_missing(root: Path) -> None:
    shutil.rmtree(root / "confidences")
    with pytest.raises(DataError, match=r"data.confidence is set.*confidences/normal does not exist"):
        samples(NormalDataModule, root, confidence=Confidence(0.5))
    path = root / "annotations" / "train.json"
    content = json.loads(path.read_text())
    content["annotations"][1]["keypoint_scores"][3] = 7.0
    path.write_text(json.dumps(content))
    with pytest.raises(
        DataError, match="annotation 2: `keypoint_scores` has 7, expected numbers from 0 to 1"
    ):
        samples(PoseDataModule, root, skeleton="coco17", confidence=Confidence(0.5))
    for one in content["annotations"]:
        del one["keypoint_scores"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="no annotation has `keypoint_scores`"):
        samples(PoseDataModule, root, skeleton="coco17", confidence=Confidence(0.5))
    with pytest.raises(SettingError, match=r"confidence.min is 1.5"):
        Confidence(1.5)


def test_a_teachers_classes_are_mapped_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_pseudo(tmp_path / "pseudo", classes=("background", "Upper-Body", "dog", "head"))
    with caplog.at_level(logging.WARNING):
        found = samples(SegmentationDataModule, root, classes="body3")
    assert "pixels of dog are ignored; nothing shows lower_body" in caplog.text
    import cv2

    values = cv2.imread(str(root / "masks" / f"{NAMES[0]}.png"), cv2.IMREAD_UNCHANGED)
    expected = np.array([0, 2, 255, 1])[values]  # body3: background, head, upper_body, lower_body
    assert np.array_equal(found[0]["segmentation"].numpy(), expected)
    other = write_pseudo(tmp_path / "other", classes=("background", "cat", "dog"))
    with pytest.raises(DataError, match=rf"{NAME}: `classes` are background, cat, dog, and none"):
        samples(SegmentationDataModule, other, classes="body3")


def test_a_folder_that_is_not_finished_or_read_otherwise_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"labels have frame opencv, but data.frame is opengl"):
        samples(NormalDataModule, root, frame="opengl")
    path = root / NAME
    path.write_text(path.read_text().replace('"finished": true', '"finished": false'))
    with pytest.raises(DataError, match=r"`finished` is false.*--resume"):
        samples(NormalDataModule, root)
    path.write_text("{")
    with pytest.raises(DataError, match="is not what `sapiens2-lit predict --as_dataset` wrote"):
        samples(NormalDataModule, root)


@pytest.fixture
def true(root: Path, tmp_path: Path) -> Path:
    """A dataset with a true label of the picture `a` of the pool, under another name, and of one of its own."""
    folder = tmp_path / "true"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        shutil.copyfile(root / kind / "a.png", folder / kind / "mine.png")
        shutil.copyfile(root / "masks" / "b.png", folder / kind / "own.png")
    (folder / "splits").mkdir()
    (folder / "splits" / "train.txt").write_text("mine\nown\n")
    (folder / "splits" / "val.txt").write_text("own\n")
    return folder


def together(**datasets: Any) -> MultitaskDataModule:
    return MultitaskDataModule(datasets, image_size=SIZE, num_workers=0)


def test_true_labels_win_over_those_of_a_model(
    root: Path, true: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = together(
        pseudo=build(SegmentationDataModule, root),
        pose=build(PoseDataModule, root, skeleton="coco17"),
        true=build(SegmentationDataModule, true),
    )
    with caplog.at_level(logging.INFO):
        data.setup("fit")
    assert data.datasets["pseudo"].datasets["train"].names.tolist() == ["b.png", "sub/c.png"]
    assert len(data.datasets["true"].datasets["train"]) == 2
    assert len(data.datasets["pose"].datasets["train"]) == 3, "labels of another kind"
    assert "data.datasets.pseudo: 1 of 3 pictures are left out: true has true labels of them" in caplog.text


def test_people_of_pictures_with_true_labels_are_left_out(root: Path, true: Path) -> None:
    people = json.loads((root / "annotations" / "train.json").read_text())
    people["images"] = [people["images"][0] | {"file_name": "mine.png"}]
    people["annotations"] = people["annotations"][:1]
    (true / "annotations").mkdir()
    (true / "annotations" / "train.json").write_text(json.dumps(people))
    data = together(
        pseudo=build(PoseDataModule, root, skeleton="coco17"),
        true=build(PoseDataModule, true, skeleton="coco17"),
    )
    data.setup("fit")
    kept = {
        Path(sample["sample"].split(" annotation")[0]).name
        for sample in data.datasets["pseudo"].datasets["train"]
    }
    assert kept == {"b.png", "c.png"}


def test_a_pool_with_pictures_that_are_validated_on_is_refused(root: Path, true: Path) -> None:
    (true / "splits" / "train.txt").write_text("own\n")
    (true / "splits" / "val.txt").write_text("mine\n")
    pseudo, own = (
        build(SegmentationDataModule, root),
        build(SegmentationDataModule, true, val="splits/val.txt"),
    )
    with pytest.raises(DataError, match=r"held_out_in_pool.*1 of 3 pictures") as error:
        together(pseudo=pseudo, true=own).setup("fit")
    assert "images/a.png" in str(error.value) and "mine.png" in str(error.value)
    people = json.loads((root / "annotations" / "train.json").read_text())
    people["images"][0]["file_name"] = "mine.png"
    people["annotations"] = people["annotations"][:1]
    (true / "val.json").write_text(json.dumps(people))
    folders = {"train": "images", "val": str(true / "images")}
    alone = build(PoseDataModule, root, skeleton="coco17", val=str(true / "val.json"), images=folders)
    with pytest.raises(DataError, match=r"held_out_in_pool.*1 of 3 pictures.*of val"):
        alone.setup("fit")
    meant = MultitaskDataModule(
        {
            "pseudo": build(SegmentationDataModule, root),
            "true": build(SegmentationDataModule, true, val="splits/val.txt"),
        },
        image_size=SIZE, num_workers=0, allow=["held_out_in_pool"],
    )  # fmt: skip
    meant.setup("fit")
