"""Other backgrounds behind people: mattes are composed exactly, masks cut people out."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.data.datasets.backgrounds import Backgrounds, MaskCutout
from sapiens2_lit.datamodules import DenseDataModule, MattingDataModule, SegmentationDataModule
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.dense import ViewAugmentation

STILL = ViewAugmentation(flip=0, scale_probability=0, crop=0, noise=0)


def set_up(kind: type[DenseDataModule], root: Path, **settings) -> DenseDataModule:
    data = kind(str(root), **{"image_size": (64, 48), "num_workers": 0, "batch_size": 2} | settings)
    data.setup("fit")
    return data


@pytest.fixture
def backgrounds(tmp_path: Path) -> Path:
    """Two pictures of one color each."""
    folder = tmp_path / "behind"
    folder.mkdir()
    Image.new("RGB", (30, 200), (0, 200, 0)).save(folder / "green.png")
    Image.new("RGB", (200, 20), (0, 0, 200)).save(folder / "blue.png")
    return folder


def test_mattes_get_other_backgrounds_exactly(people, backgrounds):
    settings = {"augment": STILL, "backgrounds": str(backgrounds), "background_probability": 1.0}
    samples = set_up(MattingDataModule, people, **settings).datasets["train"]
    plain = set_up(MattingDataModule, people, augment=STILL).datasets["train"]
    colors = torch.tensor([[0, 200, 0], [0, 0, 200]])[:, :, None, None]
    seen = set()
    for epoch in range(6):
        sample = samples[(epoch, 1)]
        assert torch.equal(sample["alpha"], plain[1]["alpha"])
        composed = sample["foreground"] * 255 + (1 - sample["alpha"]) * colors
        off = (composed - sample["image"]).abs().amax(dim=(1, 2, 3))
        assert off.min() <= 0.51
        seen.add(int(off.argmin()))
    assert seen == {0, 1}
    without = set_up(MattingDataModule, people, foregrounds=None, **settings).datasets["train"][0]
    assert "foreground" not in without
    behind = without["image"][:, without["alpha"][0] == 0]
    assert behind[0].max() == 0, "nothing of the old background is left"
    validated = set_up(MattingDataModule, people, **settings).datasets["val"]
    assert torch.equal(validated[0]["image"], set_up(MattingDataModule, people).datasets["val"][0]["image"])


def test_segmentation_gets_other_backgrounds(people, backgrounds):
    settings = {"augment": None, "backgrounds": str(backgrounds)}
    samples = set_up(SegmentationDataModule, people, **settings).datasets["train"]
    plain = set_up(SegmentationDataModule, people, augment=None).datasets["train"]
    replaced = 0
    for epoch in range(40):
        sample, old = samples[(epoch, 3)], plain[3]
        assert torch.equal(sample["segmentation"], old["segmentation"])
        if torch.equal(sample["image"], old["image"]):
            continue
        replaced += 1
        person = cv2.erode((old["segmentation"].numpy() > 0).astype(np.uint8), np.ones((3, 3))) > 0
        nobody = cv2.dilate((old["segmentation"].numpy() > 0).astype(np.uint8), np.ones((3, 3))) == 0
        assert torch.equal(sample["image"][:, person], old["image"][:, person])
        assert len(sample["image"][:, nobody].unique(dim=1).T) == 1
    assert replaced / 40 == pytest.approx(0.8, abs=0.2)


def test_backgrounds_that_are_not_there(people, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty \(`data.backgrounds`\): no image in it"):
        set_up(MattingDataModule, people, backgrounds=str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"`data.backgrounds` must be a folder"):
        set_up(SegmentationDataModule, people, backgrounds="nowhere")
    with pytest.raises(SettingError, match=r"data.background_probability is 2"):
        Backgrounds(people / "images", MaskCutout(0), 2)
    (tmp_path / "two.yaml").write_text("{classes: [skin, shirt]}")
    with pytest.raises(SettingError, match=r"two has no background: name the class by `background`"):
        set_up(SegmentationDataModule, people, classes=str(tmp_path / "two.yaml"), backgrounds="images")
