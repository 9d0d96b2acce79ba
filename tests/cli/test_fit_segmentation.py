"""Segmentation by the command, alone and together with pose."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers import QUIET, scalars, series
from PIL import Image

from sapiens2_lit.cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight images of noise with random masks."""
    rng = np.random.default_rng(0)
    root = tmp_path / "data"
    for name in ("images", "masks", "splits"):
        (root / name).mkdir(parents=True)
    for index in range(8):
        Image.fromarray(rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)).save(
            root / "images" / f"{index}.jpg"
        )
        mask = np.kron(rng.integers(0, 29, (6, 5), dtype=np.uint8), np.ones((10, 10), np.uint8))
        Image.fromarray(mask).save(root / "masks" / f"{index}.png")
    (root / "splits" / "train.txt").write_text("0\n1\n2\n3\n4\n")
    (root / "splits" / "val.txt").write_text("5\n6\n7\n")
    return root


@pytest.mark.slow
def test_shipped_config_trains_validates_and_predicts(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["fit", "--config", "segmentation_29.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += ["--data.root", str(folder), "--output", str(tmp_path / "runs"), "--trainer.max_steps", "4"]
    assert main(command) == 0
    run = tmp_path / "runs" / "version_0"
    logged = series(run)
    assert len(logged["train/loss"]) == 4
    assert torch.tensor(logged["train/loss"]).isfinite().all()
    assert {
        "train/seg/cross_entropy", "train/seg/dice", "train/seg/mIoU", "val/seg/loss", "val/seg/mIoU",
        "val/seg/foreground_mIoU", "val/seg/mAcc", "val/seg/accuracy", "val/seg/mDice",
    } <= set(logged)  # fmt: skip
    assert logged["val/score"] == logged["val/seg/mIoU"]
    last = max(scalars(run)["val/seg/mIoU"])
    named = [values for name, values in scalars(run).items() if name.startswith("val/seg/IoU/")]
    each = [values[last] for values in named if last in values]  # classes that occur there
    assert np.mean(each) == pytest.approx(logged["val/seg/mIoU"][-1], abs=1e-5)
    assert not any(name.startswith("train/seg/IoU/") for name in logged)
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["classes"] == "body29"
    options = ["--output", str(tmp_path / "runs"), *QUIET]
    assert main(["validate", "--ckpt_path", "best", *options]) == 0
    assert "val/seg/mIoU" in capsys.readouterr().out
    assert main(["test", "--ckpt_path", "best", "--data.test", "splits/val.txt", *options]) == 0
    assert "test/seg/mIoU" in capsys.readouterr().out
    out = tmp_path / "found"
    command = ["predict", "--model", tmp_path / "runs", "--images", folder / "images", "--output", out]
    assert main([*map(str, command), "--formats", "npz"]) == 0
    assert len(list((out / "seg" / "segmentation").glob("*.npz"))) == 8


@pytest.mark.slow
def test_pixels_may_vary_on_the_device(folder: Path, tmp_path: Path) -> None:
    """The same run twice: the same losses, and not those of the loader's variation."""
    command = ["fit", "--config", "segmentation_29.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += ["--data.root", str(folder), "--trainer.max_steps", "3", "--data.augment.photometric", "1"]
    losses = []
    for run, on_device in (("one", "true"), ("other", "true"), ("loader", "false")):
        options = ["--data.augment.on_device", on_device, "--output", str(tmp_path / run)]
        assert main([*command, *options]) == 0
        losses.append(series(tmp_path / run / "version_0")["train/loss"])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.slow
def test_losses_of_the_docs_train(folder: Path, tmp_path: Path) -> None:
    """The page's own YAML, on masks of which some batches have no label."""
    page = (Path(__file__).parents[2] / "docs" / "segmentation.md").read_text()
    (block,) = [part for part in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "LovaszLoss" in part]
    (tmp_path / "losses.yaml").write_text(block)
    for index in (0, 1, 2):
        Image.fromarray(np.full((60, 50), 255, np.uint8)).save(folder / "masks" / f"{index}.png")
    command = ["fit", "--config", "segmentation_29.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += [
        "--config",
        str(tmp_path / "losses.yaml"),
        "--data.root",
        str(folder),
        "--data.min_valid",
        "0",
    ]
    command += ["--output", str(tmp_path / "runs"), "--trainer.max_steps", "5", "--data.batch_size", "1"]
    assert main(command) == 0
    logged = series(tmp_path / "runs" / "version_0")
    for term in ("lovasz", "focal", "tversky", "cross_entropy"):
        values = logged[f"train/seg/{term}"]
        assert np.isfinite(values).all() and values.count(0) == 3, (term, values)


@pytest.mark.slow
def test_pose_and_segmentation_train_together(figures: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "masks").mkdir(parents=True)
    for name in ("images", "annotations"):
        (root / name).symlink_to(figures / name)
    for path in (figures / "images").iterdir():
        image = cv2.imread(str(path))
        Image.fromarray((image.max(axis=2) > 128).astype(np.uint8)).save(root / "masks" / f"{path.stem}.png")
    (tmp_path / "figure.yaml").write_text("{classes: [background, figure]}")
    seg = {
        "class_path": "sapiens2_lit.heads.SegmentationHead",
        "init_args": {"classes": str(tmp_path / "figure.yaml"), "decoder": "pixel_shuffle"},
    }
    pose = {"class_path": "sapiens2_lit.heads.PoseHead", "init_args": {"skeleton": "coco17"}}
    (tmp_path / "both.yaml").write_text(yaml.safe_dump({"model": {"heads": {"pose": pose, "seg": seg}}}))
    command = ["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += ["--config", str(tmp_path / "both.yaml"), "--data.root", str(root), "--data.masks", "masks"]
    command += ["--data.augment", "null", "--data.batch_size", "12"]  # every step sees the same 12 people
    assert main([*command, "--output", str(tmp_path / "runs"), "--trainer.max_steps", "6"]) == 0
    logged = series(tmp_path / "runs" / "version_0")
    assert {"train/pose/mse", "train/seg/cross_entropy", "val/pose/AP", "val/seg/mIoU"} <= set(logged)
    assert logged["train/seg/cross_entropy"][-1] < logged["train/seg/cross_entropy"][0]
    saved = torch.load(tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["state_dict"]["heads.seg.conv_seg.weight"].shape[0] == 2, (
        "the data follows the head's classes"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model.heads.seg.classes", "nope"], "classes 'nope' are unknown: expected one of body29"),
        (["--data.classes", "other.yaml"], "data.classes is other.yaml, and there is no such file"),
        (["--data.masks", "nowhere"], "`data.masks` must be a folder"),
        (["--data.augment.largest_share", "0"], "augment.largest_share is 0.0"),
        (
            ["--data.train", "splits/absent.txt"],
            "`data.train` is 'splits/absent.txt', and there is no such file",
        ),
        (["--model.heads.seg.class_weights", "[1, 2]"], "`class_weights` has 2 entries, expected 29"),
    ],
)
def test_mistakes_are_answered_in_one_message(
    options: list[str], expected: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["fit", "--config", "segmentation_29.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += ["--data.root", str(folder), "--output", str(tmp_path / "runs"), *options]
    assert main(command) in (1, 2)
    printed = capsys.readouterr().err.split("error: ")[-1]
    assert expected in printed
    assert "Traceback" not in printed
