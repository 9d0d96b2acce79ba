"""Folders as people have them: damaged, small, gray and huge images, videos, boxes."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sapiens2_lit.data.readers.video_frames import difference_hash, different_frames
from sapiens2_lit.datamodules import UnlabeledDataModule
from sapiens2_lit.errors import DataError, SettingError


def picture(seed: int, size: tuple[int, int] = (90, 70)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(24):
        place = tmp_path / ("inner" if index % 2 else ".")
        place.mkdir(exist_ok=True)
        cv2.imwrite(str(place / f"{index}.jpg"), picture(index))
    return tmp_path


def make(root: Path, **settings: object) -> UnlabeledDataModule:
    data = UnlabeledDataModule(str(root), (64, 48), batch_size=4, num_workers=0, **settings)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup("fit")
    return data


def test_batches_have_views_and_seeds(folder: Path) -> None:
    data = make(folder, global_views=2, local_views=3)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 2, 3, 64, 48)
    assert batch["local"].shape == (4, 3, 3, 32, 32)
    assert batch["image"].dtype == torch.uint8
    assert len(set(batch["seed"].tolist())) == 4
    assert len(data.datasets["train"]) + len(data.datasets["val"]) == 24
    val = next(iter(data.val_dataloader()))
    assert val["image"].shape == (2, 1, 3, 64, 48)
    names = {one.name for one in data.datasets["train"].pictures}
    assert "1.jpg" not in names
    assert "inner/1.jpg" in names | {one.name for one in data.datasets["val"].pictures}


def test_bad_images_are_left_out_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no image")
    cv2.imwrite(str(folder / "tiny.png"), picture(90, (20, 15)))
    cv2.imwrite(str(folder / "gray.png"), picture(91)[..., 0])
    whole = (folder / "0.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    data = make(folder, val_samples=0)
    data.batch_size = 2  # which divides 26: every image is asked for
    assert "left out: 3 of 29 images" in caplog.text
    for name in ("empty.jpg", "text.png", "tiny.png"):
        assert name in caplog.text
    batches = [batch for _ in range(3) for batch in data.train_dataloader()]
    samples = {name for batch in batches for name in batch["sample"]}
    assert "gray.png" in samples
    assert "cut.jpg" not in samples, "its pixels end too early, which its header does not tell"
    data.teardown("fit")
    assert "left out in training: 1 of 26 images: cut.jpg" in caplog.text


def test_a_folder_without_images_is_an_error(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="found no images and no videos"):
        make(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"none of 24 images can be used; such as(.|\n)*least_side"):
        make(folder, least_side=500)
    with pytest.raises(DataError, match="does not exist"):
        make(folder / "elsewhere")
    with pytest.raises(SettingError, match="frame_step"):
        UnlabeledDataModule(str(folder), frame_step=0)
    data = make(folder)
    data.batch_size = 100
    with pytest.raises(SettingError, match="only 22 training samples"):
        data.train_dataloader()


def test_people_are_cut_out_by_boxes(folder: Path) -> None:
    boxes = {"0.jpg": [[0, 0, 40, 60], [30, 20, 40, 60]], "inner/1.jpg": [[10, 10, 50, 60]]}
    (folder / "boxes.json").write_text(json.dumps(boxes))
    data = make(folder, val_samples=0)
    assert {one.name for one in data.datasets["train"].pictures} == {"0.jpg#0", "0.jpg#1", "inner/1.jpg#0"}
    _, region = data.datasets["train"].read(0)
    assert region == (0.0, 0.0, 45.0, 67.5)
    (folder / "boxes.json").write_text(json.dumps({"0.jpg": [[0, 0, -4, 60]]}))
    with pytest.raises(DataError, match=r"0\.jpg, box 0: bbox is \[0, 0, -4, 60\]"):
        make(folder)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Forty frames of four pictures."""
    path = tmp_path / "clips" / "walk.avi"
    path.parent.mkdir()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 96))
    for index in range(40):
        writer.write(picture(index // 10, (96, 96)))
    writer.release()
    return path


def test_videos_give_frames_that_differ(video: Path) -> None:
    assert [index for index, _ in different_frames(video, 5, 4)] == [0, 10, 20, 30]
    assert [index for index, _ in different_frames(video, 15, 4)] == [0, 15, 30]
    (video.parent / "broken.mp4").write_bytes(b"no video")
    data = make(video.parent, frame_step=5, val_samples=0)
    assert len(data.datasets["train"]) == 4
    again = make(video, frame_step=5, val_samples=0)
    assert len(again.datasets["train"]) == 4


def test_hashes_tell_pictures_apart() -> None:
    one, other = difference_hash(picture(0)), difference_hash(picture(1))
    noisy = difference_hash(np.clip(picture(0).astype(int) + 3, 0, 255).astype(np.uint8))
    assert (one != other).sum() > 10
    assert (one != noisy).sum() <= 4
