"""A share of the training pictures: stable, about as large as asked for, and never half a subject."""

from pathlib import Path

import pytest

from sapiens2_lit.data.held_out import Share, group_keys, read_share, split_off
from sapiens2_lit.datamodules import DepthDataModule, MultitaskDataModule, SyntheticDataModule
from sapiens2_lit.errors import DataError, SettingError

NAMES = [f"{number:05}" for number in range(4000)]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.9])
def test_a_share_is_about_as_large_and_grows_without_moving_a_picture(share: float) -> None:
    chosen = Share(share).choose(NAMES)
    assert len(chosen) == pytest.approx(share * len(NAMES), rel=0.1)
    assert Share(share).choose(NAMES[::2]) == chosen & set(NAMES[::2])
    assert chosen <= Share(min(share + 0.05, 0.99)).choose(NAMES)


def test_of_few_pictures_one_is_held_out_and_one_is_not() -> None:
    assert len(Share(0.01).choose(["a", "b", "c"])) == 1
    assert len(Share(0.99).choose(["a", "b", "c"])) == 2
    with pytest.raises(DataError, match="it takes two pictures or more"):
        split_off(["a"], Share(0.5), "val", "file", "data.val 0.5")


@pytest.mark.parametrize("field", ["subject", "video_id"])
def test_subjects_and_videos_stay_together(field: str) -> None:
    images = [{"file_name": f"{number}.jpg", field: number // 10} for number in range(100)]
    keys = group_keys(images, None, "file")
    kept = split_off(keys, Share(0.3), "val", "file", "data.val 0.3")
    assert set(kept) == {True, False}
    for group in range(10):
        assert len({keep for keep, image in zip(kept, images, strict=True) if image[field] == group}) == 1
    assert len(set(group_keys(images, "picture", "file"))) == 100


def test_a_field_that_does_not_tell_pictures_apart_is_not_taken() -> None:
    images = [{"file_name": f"a/{number}.jpg", "video_id": 7} for number in range(5)]
    assert len(set(group_keys(images, None, "file"))) == 5
    assert len(set(group_keys(images, "folder", "file"))) == 1
    with pytest.raises(DataError, match=r"data.group_by is 'who', and 5 of 5 images have no such field"):
        group_keys(images, "who", "file")


def test_settings_that_are_no_numbers_are_files() -> None:
    assert read_share("val.json") is None
    assert read_share(None) is None
    assert read_share(0.1) == Share(0.1)


def test_every_dataset_takes_a_share(people: Path) -> None:
    data = DepthDataModule(str(people), (32, 24), val=0.3, num_workers=0, augment=None)
    data.setup("fit")
    train, val = (set(data.datasets[split].names.tolist()) for split in ("train", "val"))
    assert train
    assert val
    assert not train & val
    other = DepthDataModule(str(people), (32, 24), val=0.3, group_by="subject")
    with pytest.raises(SettingError, match=r"data.group_by is 'subject', expected picture or folder"):
        other.setup("fit")
    both = MultitaskDataModule(
        {"depth": DepthDataModule(str(people), (32, 24))}, image_size=(32, 24), val=0.3
    )
    both.setup("fit")
    assert set(both.datasets["depth"].datasets["val"].names.tolist()) == val
    with pytest.raises(SettingError, match="SyntheticDataModule, has no folds nor shares"):
        MultitaskDataModule({"made": SyntheticDataModule(image_size=(32, 24))}, image_size=(32, 24), val=0.3)
