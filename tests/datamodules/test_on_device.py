"""Pixels varied on the device in a run: in training alone, once, and the same after a restart."""

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.datamodules import SegmentationDataModule
from sapiens2_lit.transforms.segmentation import SegmentationAugmentation

STILL = {"scale": (1.0, 1.0), "rotation": 0.0, "flip": 0.0, "mixed": 0.0}
CPU = torch.device("cpu")


class Recorder(L.LightningModule):
    """Keeps the images that steps get."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[torch.Tensor]] = {"train": [], "val": []}

    def training_step(self, batch, batch_idx):
        assert "pixel_seed" not in batch
        self.seen["train"].append(batch["image"].clone())
        return self.weight * 1.0

    def validation_step(self, batch, batch_idx):
        self.seen["val"].append(batch["image"].clone())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six plain grey pictures, of which four to train on."""
    for name in ("images", "masks", "splits"):
        (tmp_path / name).mkdir()
    for index in range(6):
        Image.fromarray(np.full((40, 32, 3), 90, np.uint8)).save(tmp_path / "images" / f"{index}.png")
        Image.fromarray(np.full((40, 32), 1, np.uint8)).save(tmp_path / "masks" / f"{index}.png")
    (tmp_path / "splits" / "train.txt").write_text("0\n1\n2\n3\n")
    (tmp_path / "splits" / "val.txt").write_text("4\n5\n")
    return tmp_path


def data_of(folder: Path, **settings) -> SegmentationDataModule:
    augment = SegmentationAugmentation(**STILL, photometric=1, on_device=True)
    settings = {
        "image_size": (40, 32),
        "num_workers": 0,
        "batch_size": 2,
        "augment": augment,
        "seed": 3,
    } | settings
    data = SegmentationDataModule(str(folder), **settings)
    data.setup("fit")
    return data


def record(folder: Path, **settings) -> Recorder:
    module = Recorder()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data_of(folder, **settings))
    return module


def test_training_images_vary_and_validation_images_do_not(folder):
    module = record(folder)
    train, val = torch.cat(module.seen["train"]), torch.cat(module.seen["val"])
    assert len({image.numpy().tobytes() for image in train}) == 8, "each sample of each epoch its own"
    assert (val == 90).all()


def test_runs_repeat_and_epochs_do_not(folder):
    one, other = (torch.cat(record(folder).seen["train"]) for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (one[:4] != one[4:]).any()


def test_a_sample_is_the_same_whatever_batch_it_is_in(folder):
    """So a run that is resumed, on another number of ranks or with other batches, varies it alike."""
    pairs, whole = data_of(folder), data_of(folder, batch_size=4)

    def images(data):
        batches = [data.transfer_batch_to_device(batch, CPU, 0) for batch in data.train_dataloader()]
        return torch.cat([batch["image"] for batch in batches])

    torch.testing.assert_close(images(pairs), images(whole), rtol=0, atol=0)


def test_views_and_labels_are_those_of_the_loader(folder):
    """Geometry is the loader's, with the same random numbers, whichever varies the pixels."""
    settings = {"photometric": 0, "blur": 0, "noise": 0}
    there, here = (
        next(
            iter(
                data_of(folder, augment=SegmentationAugmentation(**settings, on_device=on)).train_dataloader()
            )
        )
        for on in (True, False)
    )
    for key in ("image", "segmentation", "affine"):
        torch.testing.assert_close(there[key], here[key], rtol=0, atol=0)
    assert "pixel_seed" not in here
