"""Class weights counted in the training masks: the same whoever counts, kept in checkpoints, never counted twice."""

import json
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import QUIET
from PIL import Image
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints.released_names import released_state
from sapiens2_lit.cli.main import main
from sapiens2_lit.data.class_counts import count_classes
from sapiens2_lit.data.labels.base import MaskFolder
from sapiens2_lit.datamodules import PoseDataModule, SegmentationDataModule, SyntheticDataModule
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.heads import LinearHead, SegmentationHead
from sapiens2_lit.losses.segmentation import balanced_weights
from sapiens2_lit.models.build import load_task_file
from sapiens2_lit.training.module import SapiensModule


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of 40 x 30; masks of three classes in stripes, one class never; one image is to validate on."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks", "splits"):
        (tmp_path / name).mkdir()
    for index in range(5):
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(
            tmp_path / f"images/{index}.png"
        )
        mask = np.zeros((40, 30), np.uint8)
        mask[:4], mask[4], mask[5] = 1, 2, 255
        Image.fromarray(mask if index < 4 else mask * 0 + 2).save(tmp_path / f"masks/{index}.png")
    (tmp_path / "splits" / "train.txt").write_text("0\n1\n2\n3\n")
    (tmp_path / "splits" / "val.txt").write_text("4\n")
    (tmp_path / "classes.yaml").write_text("classes: [background, shirt, shoe, hat]")
    return tmp_path


def data_of(folder: Path) -> SegmentationDataModule:
    data = SegmentationDataModule(str(folder), classes=str(folder / "classes.yaml"), num_workers=0)
    data.setup("fit")
    return data


def test_training_masks_are_counted_pixel_by_pixel(folder: Path) -> None:
    assert data_of(folder).count_classes().tolist() == [4 * 34 * 30, 4 * 4 * 30, 4 * 30, 0]


def test_of_many_masks_a_spread_share_is_read(folder: Path) -> None:
    masks = MaskFolder(folder / "masks", data_of(folder).classes)
    stems = [(masks, str(index)) for index in range(5)]
    few = count_classes(stems, 4, most=2)  # the first and the last
    assert few.tolist() == [34 * 30, 4 * 30, 30 + 40 * 30, 0]
    assert count_classes(stems, 4).sum() == 4 * 39 * 30 + 40 * 30


@pytest.mark.parametrize("make", [SegmentationHead, LinearHead])
def test_a_head_takes_its_weights_from_the_data(make, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    head = make(16, classes=str(folder / "classes.yaml"), class_weights="auto")
    with caplog.at_level(logging.INFO):
        head.setup(data_of(folder))
    expected = balanced_weights([34, 4, 1, 0])
    torch.testing.assert_close(head.losses["cross_entropy"].balance, torch.tensor(expected))
    assert "no mask shows hat; weight 1 is taken" in caplog.text
    assert len([line for line in caplog.messages if line.startswith("class_weights: auto: background")]) == 1


def test_masks_beside_pose_are_counted_once_an_image(dataset, tmp_path: Path) -> None:
    root = dataset(people=6, images=3)
    (root / "masks").mkdir()
    for index in range(3):
        Image.fromarray(np.full((100, 120), index, np.uint8)).save(root / "masks" / f"{index}.png")
    data = PoseDataModule(str(root), "coco17", masks="masks", num_workers=0)
    data.setup("fit")
    assert data.count_classes()[:4].tolist() == [12_000, 12_000, 12_000, 0]
    without = PoseDataModule(str(root), "coco17")
    with pytest.raises(SettingError, match=r"data.masks is null"):
        without.count_classes()


def test_synthetic_people_are_counted() -> None:
    data = SyntheticDataModule(targets=["segmentation"], samples_per_epoch=1)
    data.setup("fit")
    counts = data.count_classes()
    assert counts.shape == (29,)
    assert counts[0] > counts[1:].max() > 0, "there is a person before a larger background"


def test_data_that_cannot_be_counted_are_refused(folder: Path) -> None:
    head = SegmentationHead(16, classes=str(folder / "classes.yaml"), class_weights="auto")
    with pytest.raises(SettingError, match="NoneType has no `count_classes"):
        head.setup(None)
    with pytest.raises(SettingError, match="labels have classes"):
        SegmentationHead(16, class_weights="auto").setup(data_of(folder))
    Image.fromarray(np.full((40, 30), 9, np.uint8)).save(folder / "masks" / "2.png")
    with pytest.raises(DataError, match=r"2.png: the mask has the values 9"):
        head.setup(data_of(folder))
    SegmentationHead(16, classes=str(folder / "classes.yaml")).setup(None)  # others need no data


def test_released_files_have_no_counts_and_need_none(folder: Path, tmp_path: Path) -> None:
    make = partial(SegmentationHead, classes=str(folder / "classes.yaml"), class_weights="auto")
    module = SapiensModule(partial(Sapiens2, "test"), {"seg": make})
    module.configure_model()
    released = released_state(module.state_dict(), "seg")
    assert not any("balance" in name for name in released)
    changed = {name: value + 1 for name, value in released.items()}
    save_file(changed, tmp_path / "task.safetensors")
    load_task_file(module.network, str(tmp_path / "task.safetensors"))
    torch.testing.assert_close(module.heads["seg"].conv_seg.bias, changed["decode_head.conv_seg.bias"])
    assert module.heads["seg"].losses["cross_entropy"].balance.tolist() == [1] * 4


@pytest.mark.slow
def test_a_run_counts_once_and_keeps_its_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    count = SegmentationDataModule.count_classes
    monkeypatch.setattr(
        SegmentationDataModule, "count_classes", lambda data: counted.append(1) or count(data)
    )
    command = ["--config", "segmentation_29.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += ["--model.heads.seg.classes", str(folder / "classes.yaml"), "--data.root", str(folder)]
    command += ["--model.heads.seg.class_weights", "auto", "--output", str(tmp_path / "runs")]
    command += ["--data.batch_size", "2", "--trainer.accumulate_grad_batches", "1"]
    assert main(["fit", *command, "--trainer.max_steps", "2"]) == 0
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    name = "heads.seg.losses.cross_entropy.balance"
    saved = torch.load(last, weights_only=True)["state_dict"][name]
    torch.testing.assert_close(saved, torch.tensor(balanced_weights([34, 4, 1, 0])))
    for index in range(4):  # other masks change nothing any more
        Image.fromarray(np.full((40, 30), 1, np.uint8)).save(folder / f"masks/{index}.png")
    assert main(["fit", *command, "--trainer.max_steps", "4", "--ckpt_path", "last"]) == 0
    assert main(["validate", *command, "--ckpt_path", "last"]) == 0
    assert len(counted) == 1
    measured = json.loads((tmp_path / "runs" / "version_0" / "validate" / "metrics.json").read_text())
    assert {"seg/IoU/shoe", "seg/Dice/shoe"} <= measured["metrics"].keys()
    torch.testing.assert_close(torch.load(last, weights_only=True)["state_dict"][name], saved)
