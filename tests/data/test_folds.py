"""Folds: every picture is validated on once, stays where it is, and never in both."""

from pathlib import Path

import pytest

from sapiens2_lit.data.splits import Fold, read_fold
from sapiens2_lit.datamodules import (
    MultitaskDataModule,
    PoseDataModule,
    SegmentationDataModule,
    SyntheticDataModule,
)
from sapiens2_lit.errors import DataError, SettingError

NAMES = [f"picture_{index:04}" for index in range(500)]


def test_folds_part_all_pictures_evenly_and_once() -> None:
    parts = [Fold(number, 5).split(NAMES, "val", "here") for number in range(5)]
    assert sorted(name for part in parts for name in part) == NAMES
    assert all(60 < len(part) < 140 for part in parts)
    for number, part in enumerate(parts):
        assert sorted([*part, *Fold(number, 5).split(NAMES, "train", "here")]) == NAMES


def test_a_picture_stays_in_its_fold_whatever_comes_or_goes() -> None:
    before = set(Fold(2, 5).split(NAMES, "val", "here"))
    after = set(Fold(2, 5).split([*NAMES[::2], *(f"new_{n}" for n in range(90))], "val", "here"))
    assert before & set(NAMES[::2]) == after & set(NAMES)


@pytest.mark.parametrize("setting", ["5/5", "1", "0/1", "-1/5", "a/b", "0.5/2", ""])
def test_what_is_no_fold_is_refused(setting: str) -> None:
    with pytest.raises(SettingError, match=r"data\.fold.*0/5"):
        read_fold(setting)


def test_too_few_pictures_are_an_error() -> None:
    with pytest.raises(DataError, match="take fewer folds"):
        Fold(0, 1000).split(NAMES[:3], "val", "here")


def test_pose_folds_part_the_people_of_the_training_file(figures: Path) -> None:
    """Whatever `val` is; the ground truth has the same pictures as the samples."""
    seen: list[str] = []
    for number in range(3):
        data = PoseDataModule(str(figures), "coco17", (64, 48), fold=f"{number}/3", val=None, num_workers=0)
        data.setup("fit")
        names = {split: set(data.datasets[split].sources[0].file_name.tolist()) for split in ("train", "val")}
        assert not names["train"] & names["val"]
        assert len(names["train"] | names["val"]) == 12
        truth = data.ground_truth("validate")
        assert {image["file_name"] for image in truth["images"]} == names["val"]
        assert len(truth["annotations"]) == len(data.datasets["val"])
        seen += names["val"]
    assert len(seen) == len(set(seen)) == 12


def test_dense_folds_part_what_is_not_for_testing(people: Path) -> None:
    plain = SegmentationDataModule(str(people), (64, 48), num_workers=0)
    plain.checks_on_setup = False
    plain.setup("fit")
    pool = {name for split in ("train", "val") for name in plain.datasets[split].names.tolist()}
    seen: list[str] = []
    for number in range(2):
        data = SegmentationDataModule(str(people), (64, 48), fold=f"{number}/2", num_workers=0)
        data.checks_on_setup = False
        data.setup("fit")
        names = {split: set(data.datasets[split].names.tolist()) for split in ("train", "val")}
        assert not names["train"] & names["val"] and names["train"] | names["val"] == pool
        seen += names["val"]
    assert sorted(seen) == sorted(pool)


def test_several_datasets_fold_together_or_say_which_cannot(figures: Path) -> None:
    pose = PoseDataModule(str(figures), "coco17", num_workers=0)
    MultitaskDataModule({"pose": pose}, fold="1/4")
    assert pose.fold == Fold(1, 4)
    with pytest.raises(SettingError, match=r"data\.datasets\.made, a SyntheticDataModule, has no folds"):
        MultitaskDataModule({"made": SyntheticDataModule()}, fold="1/4")
