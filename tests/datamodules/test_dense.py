"""From folders to batches for every dense task: documented keys, samples left out and counted, splits, backgrounds."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from lightning import LightningDataModule
from PIL import Image

from sapiens2_lit.datamodules import (
    AlbedoDataModule,
    DenseDataModule,
    DepthDataModule,
    MattingDataModule,
    NormalDataModule,
    PointmapDataModule,
)
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.geometry import pixel_grid, project
from sapiens2_lit.transforms.dense import DenseAugmentation, ViewAugmentation

SIZE = (64, 48)
STILL = ViewAugmentation(flip=0, scale_probability=0, crop=0, noise=0)
FIELDS = {
    "normal": (NormalDataModule, {"normal": 3, "valid": 1}),
    "depth": (DepthDataModule, {"depth": 1, "valid": 1}),
    "pointmap": (PointmapDataModule, {"pointmap": 3, "valid": 1}),
    "albedo": (AlbedoDataModule, {"albedo": 3, "valid": 1}),
    "matting": (MattingDataModule, {"alpha": 1, "foreground": 3}),
}


@pytest.fixture
def depths(tmp_path: Path) -> Path:
    """Six images with depth, of which 1 has no label that counts and 4 has NaN in it."""
    for name in ("images", "depths", "splits"):
        (tmp_path / name).mkdir()
    for index in range(6):
        Image.new("RGB", (48, 64), (40 * index, 0, 0)).save(tmp_path / "images" / f"{index}.png")
        depth = np.full((64, 48), 1.0 + index, np.float32)
        depth[:, 24:] = 0 if index != 4 else np.nan
        np.save(tmp_path / "depths" / f"{index}.npy", depth if index != 1 else 0 * depth)
    (tmp_path / "splits" / "train.txt").write_text("0\n1\n2\n3\n4\n5\n")
    (tmp_path / "splits" / "val.txt").write_text("0\n1\n")
    return tmp_path


def set_up(kind: type[DenseDataModule], root: Path, stage: str = "fit", **settings) -> DenseDataModule:
    data = kind(str(root), **{"image_size": SIZE, "num_workers": 0, "batch_size": 2} | settings)
    data.setup(stage)
    return data


@pytest.mark.parametrize("task", FIELDS)
def test_synthetic_people_are_read_as_they_are_written(people, task):
    kind, channels = FIELDS[task]
    data = set_up(kind, people)
    assert len(data.datasets["train"]) == 8
    for batch in (next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))):
        found = {key: tuple(value.shape) for key, value in batch.items() if key not in ("sample", "affine")}
        size = len(batch["sample"])
        wanted = {key: (size, number, *SIZE) for key, number in channels.items()}
        wanted["image"] = (size, 3, *SIZE)
        if task == "pointmap":
            wanted["intrinsics"] = (size, 3, 3)
        assert found == wanted
        assert batch["affine"].shape == (size, 2, 3)
        for key, value in batch.items():
            if key in ("normal", "depth", "pointmap", "albedo", "foreground"):
                assert value.dtype == torch.float32
                assert value.isfinite().all()
                if "valid" in batch:
                    assert (value.abs().sum(dim=1, keepdim=True) > 0).eq(batch["valid"]).all()
        if "valid" in batch:
            assert batch["valid"].dtype == torch.bool
            assert batch["valid"].flatten(1).sum(dim=1).min() >= 16


@pytest.mark.parametrize("task", FIELDS)
def test_bytes_of_a_sample_to_the_device(people, task):
    """Pixels in 8 bits, labels in 32, where they count in 8; nothing of the image's size besides."""
    kind, channels = FIELDS[task]
    sample = set_up(kind, people).datasets["train"][(0, 0)]
    pixels = SIZE[0] * SIZE[1]
    found = {key: value.nbytes for key, value in sample.items() if isinstance(value, torch.Tensor)}
    assert found.pop("image") == 3 * pixels
    for key, number in channels.items():
        assert found.pop(key) == (pixels if key == "valid" else 4 * number * pixels)
    assert sum(found.values()) <= (2 * 3 + 3 * 3) * 4, "affine and intrinsics"


def test_labels_fit_the_image_that_the_network_sees(people):
    """The people of the albedo are where the matte says they are, in the same random view."""
    augment = ViewAugmentation(rotation=60)
    albedo = set_up(AlbedoDataModule, people, augment=augment, seed=3).datasets["train"]
    matte = set_up(MattingDataModule, people, augment=augment, seed=3).datasets["train"]
    for epoch in range(3):
        one, other = albedo[(epoch, 2)], matte[(epoch, 2)]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["affine"], other["affine"])
        inside = other["alpha"].isfinite()
        assert (one["valid"] == (other["alpha"] >= 0.5))[inside].float().mean() > 0.96
        whole = other["alpha"][0] > 0.999
        difference = (other["foreground"] * 255 - one["image"])[:, whole].abs()
        assert difference.median() < 12, "of a JPEG with noise on it"


def test_random_views_of_point_maps_reproject(people):
    data = set_up(
        PointmapDataModule, people, augment=DenseAugmentation(rotation=90, flip=0.5, crop=1), batch_size=8
    )
    batch = next(iter(data.train_dataloader()))
    seen = project(torch.where(batch["valid"], batch["pointmap"], 1), batch["intrinsics"])
    u, v = pixel_grid(SIZE, seen)
    off = torch.maximum((seen[:, 0] - u).abs(), (seen[:, 1] - v).abs())[batch["valid"][:, 0]]
    assert off.max() < 1e-3
    from_depth = set_up(
        PointmapDataModule, people, pointmaps=None, depths="depths", augment=None, batch_size=8
    )
    plain = set_up(PointmapDataModule, people, augment=None, batch_size=8)
    torch.testing.assert_close(
        from_depth.datasets["train"][0]["pointmap"], plain.datasets["train"][0]["pointmap"]
    )


def test_samples_without_labels_are_left_out_and_counted(depths, caplog):
    data = set_up(DepthDataModule, depths, augment=None)
    samples = data.datasets["train"]
    replaced = samples[1]
    assert replaced["sample"].endswith("2.png")
    assert replaced["depth"].max() == 3
    assert samples.skipped.count == 1
    samples[1], samples[4]
    assert (samples.skipped.count, samples.invalid.count) == (1, 1), "each once"
    assert (
        "1.png: fewer than 16 pixels are valid (data.min_valid); another sample takes its place"
        in caplog.text
    )
    assert "4.png: 1536 pixels of its labels are NaN or infinite; they are ignored" in caplog.text
    held_out = data.datasets["val"][1]
    assert held_out["sample"].endswith("1.png")
    assert not held_out["valid"].any()
    caplog.clear()
    data.teardown("fit")
    assert "train: 1 of 6 samples were left out, fewer than 16 pixels of them count" in caplog.text
    assert "train: 1 of 6 samples have labels that are NaN or infinite" in caplog.text
    assert "val: 1 of 2 samples were left out" in caplog.text


def test_worker_processes_count_together(depths):
    data = set_up(DepthDataModule, depths, num_workers=2, batch_size=3, augment=None)
    serial = set_up(DepthDataModule, depths, batch_size=3, augment=None)
    for one, other in zip(data.train_dataloader(), serial.train_dataloader(), strict=True):
        assert torch.equal(one["depth"], other["depth"])
    samples = data.datasets["train"]
    assert (samples.skipped.count, samples.invalid.count) == (1, 1)
    assert torch.equal(pickle.loads(pickle.dumps(samples))[3]["depth"], samples[3]["depth"])


def test_too_few_pixels_is_a_setting(depths):
    half = 64 * 24
    assert (
        set_up(DepthDataModule, depths, min_valid=half, augment=None).datasets["train"][0]["valid"].sum()
        == half
    )
    samples = set_up(DepthDataModule, depths, min_valid=half + 1, augment=None).datasets["train"]
    with pytest.raises(
        DataError, match=r"none of 6 samples in a row has 1537 valid pixels \(data.min_valid\)"
    ):
        samples[0]
    with pytest.raises(SettingError, match=r"data.min_valid is -1"):
        set_up(DepthDataModule, depths, min_valid=-1)


def test_views_without_labels_are_drawn_again(depths):
    """The right half does not count: crops that show it alone would teach nothing."""
    augment = DenseAugmentation(scale=(4, 4), scale_probability=1, photometric=0)
    samples = set_up(DepthDataModule, depths, augment=augment).datasets["train"]
    assert all(samples[(epoch, 0)]["valid"].sum() >= 16 for epoch in range(12))
    assert samples.skipped.count == 0


def test_labels_and_images_must_have_one_another(depths, caplog):
    (depths / "depths" / "5.npy").rename(depths / "depths" / "7.npy")
    with pytest.raises(
        DataError, match=r"5: the image has no `depth` label, expected 5.npy or 5.npz or 5.png or 5.exr"
    ):
        set_up(DepthDataModule, depths)
    (depths / "splits" / "train.txt").write_text("0\n2\n")
    with caplog.at_level(logging.WARNING):
        set_up(DepthDataModule, depths)
    assert "1 labels have no image and are not used: 7" in caplog.text
    np.save(depths / "depths" / "0.npy", np.full((32, 24), 1.0))
    with pytest.raises(DataError, match=r"0.npy: the label is 24 x 32, its image .*0.png is 48 x 64"):
        set_up(DepthDataModule, depths, augment=None).datasets["train"][0]


def test_images_without_a_label_are_left_out_where_that_is_asked_for(depths, caplog):
    (depths / "depths" / "5.npy").unlink()
    (depths / "depths" / "3.npz").touch()
    with caplog.at_level(logging.WARNING):
        data = set_up(DepthDataModule, depths, on_bad="skip")
    assert data.datasets["train"].names.tolist() == ["0.png", "1.png", "2.png", "4.png"]
    assert "train: 2 of 6 images are left out (data.on_bad: skip)" in caplog.text
    assert (
        "5: the image has no `depth` label" in caplog.text
        and "3: the image has the `depth` labels" in caplog.text
    )
    for label in (depths / "depths").iterdir():
        label.unlink()
    with pytest.raises(DataError, match="6 problems"):
        set_up(DepthDataModule, depths, on_bad="skip")


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (DepthDataModule, {"unit": 0}, r"data.unit is 0, expected the meters of one unit"),
        (DepthDataModule, {"unit": 0.1, "relative": True}, r"data.unit is 0.1, which has no effect"),
        (DepthDataModule, {"depths": "z"}, r"z does not exist: `data.depths` must be a folder"),
        (DepthDataModule, {"valids": "v"}, r"v does not exist: `data.valids` must be a folder"),
        (PointmapDataModule, {}, r"cameras does not exist: `data.cameras` must be a folder with a json"),
        (PointmapDataModule, {"cameras": "c"}, r"c does not exist: `data.cameras` .* data.field_of_view to"),
        (PointmapDataModule, {"depths": "depths"}, r"set one of them to a folder, the other to null"),
        (PointmapDataModule, {"pointmaps": None}, r"set one of them to a folder, the other to null"),
        (PointmapDataModule, {"cameras": "cameras", "field_of_view": 50}, r"set one of them to null"),
        (NormalDataModule, {}, r"normals does not exist: `data.normals` must be a folder"),
        (AlbedoDataModule, {}, r"`data.albedos` must be a folder"),
        (MattingDataModule, {}, r"`data.alphas` must be a folder"),
        (MattingDataModule, {"alphas": "depths", "foregrounds": "f"}, r"`data.foregrounds` must be a folder"),
    ],
)
def test_impossible_settings_are_said(depths, kind, settings, message):
    with pytest.raises((SettingError, DataError), match=message):
        set_up(kind, depths, **settings)


def test_point_maps_from_depth_and_a_field_of_view(depths):
    settings = {
        "pointmaps": None,
        "depths": "depths",
        "field_of_view": 60.0,
        "augment": None,
    }
    sample = set_up(PointmapDataModule, depths, **settings).datasets["train"][0]
    assert sample["intrinsics"][0, 0] == pytest.approx(32 / np.tan(np.radians(30)), rel=1e-6)
    assert sample["pointmap"][2][sample["valid"][0]].unique().tolist() == [1.0]


def test_alphas_need_no_foregrounds(depths, caplog):
    for index in range(6):
        Image.new("L", (48, 64), 40 * index).save(depths / "depths" / f"{index}.png")
        (depths / "depths" / f"{index}.npy").unlink()
    with caplog.at_level(logging.INFO):
        data = set_up(MattingDataModule, depths, alphas="depths", augment=None)
    assert caplog.text.count("foregrounds does not exist: alpha is learned without the people's color") == 1
    sample = data.datasets["train"][3]
    assert "foreground" not in sample
    assert sample["alpha"].unique().tolist() == pytest.approx([120 / 255])


def test_normals_off_unit_length_are_reported(tmp_path, caplog):
    for name in ("images", "normals"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (48, 64)).save(tmp_path / "images" / "a.png")
    normals = np.full((64, 48, 3), (0, 0, -1), np.float32)
    normals[:4] *= 0.5  # as resizing leaves them between opposite ones
    normals[4, :8] = np.nan
    normals[5] = 0
    np.save(tmp_path / "normals" / "a.npy", normals)
    (tmp_path / "all.txt").write_text("a")
    data = set_up(NormalDataModule, tmp_path, train="all.txt", val=None, augment=None)
    assert data.datasets["train"][0]["valid"].sum() == 58 * 48 + 40
    assert "200 pixels of its labels are NaN, infinite or not of length 1; they are ignored" in caplog.text
    data.teardown("fit")
    assert "1 of 1 samples have labels that are NaN, infinite or not of length 1 in places" in caplog.text


def test_settings_are_flat_on_the_command_line(depths):
    """Those that all dense tasks share, those of one, and those of its augmentation; a mistaken name is an error."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    for kind in ("Normal", "Depth", "Pointmap", "Albedo", "Matting"):
        command = [
            "--data",
            f"sapiens2_lit.datamodules.{kind}DataModule",
            f"--data.root={depths}",
            "--data.seed=7",
        ]
        command += ["--data.image_size=[64,48]", "--data.augment.flip=0.5", "--data.val=null"]
        data = parser.instantiate(parser.parse_args(command)).data
        assert (data.seed, data.image_size, data.splits["val"], data.augment.flip) == (7, (64, 48), None, 0.5)
        assert data.augment.scale == (0.5, 2)
    with pytest.raises(ArgumentError, match="batchsize"):
        parser.parse_args([*command, "--data.batchsize=2"])
    with pytest.raises(ArgumentError, match="frame"):
        parser.parse_args(
            ["--data", "sapiens2_lit.datamodules.NormalDataModule", "--data.root=x", "--data.frame=maya"]
        )


def test_point_maps_need_square_pixels(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data.view is stretch, but point maps .* expected letterbox"):
        PointmapDataModule(str(tmp_path), view="stretch")
    assert NormalDataModule(str(tmp_path), view="stretch").view == "stretch"
