"""Many tasks in one run by the command: on pictures with all labels, and on folders with labels of their own."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers import QUIET, scalars

from sapiens2_lit.checkpoints import take_head
from sapiens2_lit.cli.main import main
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

HEADS = ("pose", "seg", "normal", "pointmap", "albedo")
DATASETS = {
    "pose": "pose",
    "segmentation": "seg",
    "normal": "normal",
    "pointmap": "pointmap",
    "albedo": "albedo",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five datasets under one folder; the same ten pictures serve all, each reads its own labels."""
    root = tmp_path_factory.mktemp("folders")
    tasks = ("pose", "segmentation", "normal", "pointmap", "albedo")
    make_dataset(root / "pictures", 10, Settings(size=(64, 48), tasks=tasks), workers=1, progress=False)
    for name in DATASETS:
        (root / name).symlink_to(root / "pictures")
    return root


def fit(config: str, output: Path, *options: object) -> Path:
    """Train a tiny model; returns the newest run's folder."""
    command = ["fit", "--config", config, "--config", "size/smoke.yaml", *QUIET, "--output", output, *options]
    assert main([str(part) for part in command]) == 0
    return max(output.glob("version_*"))


@pytest.mark.slow
def test_all_tasks_learn_from_pictures_with_all_labels(tmp_path: Path) -> None:
    few = [
        "--data.samples_per_epoch",
        4,
        "--data.val_samples",
        2,
        "--data.batch_size",
        2,
        "--pictures.num_samples",
        1,
    ]
    few += ["--trainer.max_steps", 2, "--trainer.val_check_interval", 2]
    run = fit("multitask.yaml", tmp_path, *few, "--trainer.num_sanity_val_steps", 0)
    logged = scalars(run)
    for name in HEADS:
        assert f"val/{name}/loss" in logged
        assert any(key.startswith(f"train/{name}/") for key in logged)
    assert len(logged["train/loss"]) == 2
    measures = [
        "pose/AP",
        "pose/PCK@0.05",
        "pose/PCK@0.1",
        "seg/mIoU",
        "normal/mean_angle",
        "pointmap/l2",
        "albedo/rmse",
    ]
    ap, fine, coarse, iou, degrees, metres, rmse = (logged[f"val/{name}"][1] for name in measures)
    pose = 0.9 * ap + 0.1 * (fine + coarse) / 2
    expected = (pose + iou + (1 - degrees / 180) + 1 / (1 + metres) + (1 - rmse)) / 5
    assert logged["val/score"][1] == pytest.approx(expected, abs=1e-5)
    assert logged["val/loss"][1] == pytest.approx(
        sum(logged[f"val/{name}/loss"][1] for name in HEADS), rel=1e-5
    )


@pytest.mark.slow
def test_folders_with_labels_of_their_own_train_resume_and_predict(folders: Path, tmp_path: Path) -> None:
    """In the midst of an epoch of 20 steps, and within the accumulation of gradients of all datasets."""
    options = [
        "--data.root",
        folders,
        "--data.batch_size",
        2,
        "--trainer.max_steps",
        5,
        "--pictures.num_samples",
        2,
    ]
    options += ["--trainer.accumulate_grad_batches", 5, "--trainer.val_check_interval", 10]
    options += ["--trainer.check_val_every_n_epoch", "null", "--checkpoint.save_top_k", -1]
    options += ["--trainer.num_sanity_val_steps", 0]
    run = fit("multitask_folders.yaml", tmp_path / "whole", *options)
    logged = scalars(run)
    assert len(logged["train/loss"]) == 5
    for name in HEADS:
        assert f"val/{name}/loss" in logged
        assert len(logged[f"val/{name}/loss"]) == 2
    saved = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["datasets"]
    assert saved["pose"]["init_args"]["skeleton"] == "sociopticon308", "the data follow the heads"
    assert saved["segmentation"]["init_args"]["classes"] == "body29"

    middle = run / "checkpoints" / "best-step=2.ckpt"
    assert torch.load(middle, weights_only=True)["MultitaskDataModule"]["mixture"]["step"] == 10
    resumed = scalars(fit("multitask_folders.yaml", tmp_path / "resumed", *options, "--ckpt_path", middle))
    assert min(resumed["train/loss"]) == 2
    for name in ("train/loss", "train/gradient_norm", "val/score"):
        assert resumed[name] == {step: value for step, value in logged[name].items() if step >= 2}, name

    last = run / "checkpoints" / "last.ckpt"
    out = tmp_path / "found"
    predict = ["predict", "--model", last, "--images", folders / "pictures" / "images", "--output", out]
    assert main([*map(str, predict), "--formats", "npz", "json"]) == 0
    assert {path.name for path in out.iterdir() if path.is_dir()} >= set(HEADS)

    alone = take_head(last, "normal", tmp_path / "normal.safetensors")
    options = ["--data.root", folders / "normal", "--model.weights", alone, "--trainer.max_steps", 1]
    fit("normal.yaml", tmp_path / "alone", *options, "--data.batch_size", 2)


@pytest.mark.slow
def test_mistakes_name_the_dataset(folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["fit", "--config", "multitask_folders.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += ["--output", str(tmp_path), "--data.root", str(folders)]
    pose = "{class_path: sapiens2_lit.datamodules.PoseDataModule, init_args: {root: pose}}"
    for options, expected in (
        (["--data.datasets.normal.init_args.normals", "nowhere"], "data.datasets.normal: "),
        (
            ["--data.datasets.pose.init_args.skeleton", "coco17"],
            "data.datasets.pose.skeleton is coco17, but the head",
        ),
        (["--data.datasets.segmentation", pose], "model.heads.seg: no dataset has segmentation"),
        (
            ["--data.schedule", "all", "--data.weights", "{pose: 2}"],
            "data.weights has no effect with data.schedule",
        ),
    ):
        assert main([*command, *options]) in (1, 2)
        printed = capsys.readouterr().err.split("error: ")[-1]
        assert expected in printed
        assert "Traceback" not in printed
