"""Normals, point maps, albedo, depth and mattes by the command, on what `sapiens2-lit synth` writes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers import PICTURES, QUIET, events, scalars, series

from sapiens2_lit.cli.main import main
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

TASKS = {
    "normal": ("mean_angle", ["cosine", "l1", "gradient"], {"normal": (3, 64, 48)}),
    "pointmap": (
        "l2",
        ["l1", "multiscale", "centroid", "silog", "intrinsics", "normal", "scale"],
        {"pointmap": (3, 64, 48), "depth": (1, 64, 48), "focal": (), "scale": ()},
    ),
    "albedo": ("psnr", ["l1", "gradient", "chromaticity"], {"albedo": (3, 64, 48)}),
    "depth": ("abs_rel", ["scale_invariant", "gradient_matching"], {"depth": (1, 64, 48)}),
    "matting": (
        "sad",
        ["alpha", "alpha_gradient", "alpha_laplacian", "composite"],
        {"alpha": (1, 64, 48), "foreground": (3, 64, 48)},
    ),
}
SCORES = {
    "normal": ("mean_angle", lambda degrees: 1 - degrees / 180),
    "pointmap": ("l2", lambda metres: 1 / (1 + metres)),
    "albedo": ("rmse", lambda error: 1 - error),
    "depth": ("abs_rel", lambda error: 1 / (1 + error)),
    "matting": ("sad", lambda sad: 1 / (1 + sad)),
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten synthetic people: eight to train on, one each to validate and to test on."""
    root = tmp_path_factory.mktemp("people")
    tasks = ("normal", "depth", "pointmap", "albedo", "matting")
    make_dataset(root, 10, Settings(size=(96, 72), tasks=tasks), workers=1, progress=False)
    return root


def fit(task: str, people: Path, output: Path, *options: str) -> int:
    command = ["fit", "--config", f"{task}.yaml", "--config", "size/smoke.yaml", *QUIET]
    command += ["--data.root", str(people), "--output", str(output), "--trainer.max_steps", "3"]
    return main([*command, "--data.batch_size", "2", *options])


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_shipped_config_trains_validates_tests_and_predicts(
    task: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monitor, terms, predicted = TASKS[task]
    assert fit(task, people, tmp_path, *PICTURES) == 0
    run = tmp_path / "version_0"
    logged = series(run)
    assert len(logged["train/loss"]) == 3
    assert torch.tensor(logged["train/loss"]).isfinite().all()
    expected = {f"{stage}/{task}/{term}" for stage in ("train", "val") for term in [*terms, monitor]}
    assert expected <= set(logged)
    key, score = SCORES[task]
    assert logged["val/score"] == pytest.approx(
        [score(value) for value in logged[f"val/{task}/{key}"]], abs=1e-6
    )
    assert all(0 < value < 1 for value in logged["val/score"])
    assert logged["val/loss"] == logged[f"val/{task}/loss"]
    assert f"val/{task}" in events(run).Tags()["images"]
    options = ["--ckpt_path", "best", "--output", str(tmp_path), *QUIET]
    capsys.readouterr()
    for command, stage in (("validate", "val"), ("test", "test")):
        assert main([command, *options]) == 0
        assert f"{stage}/{task}/{monitor}" in capsys.readouterr().out
    out = tmp_path / "found"
    command = ["predict", "--model", tmp_path, "--images", people / "images", "--output", out]
    assert main([*map(str, command), "--formats", "npz"]) == 0
    found = {path.parent.name: np.load(path) for path in (out / task).glob("*/000000.npz")}
    assert found.keys() == {name for name, shape in predicted.items() if len(shape) == 3}
    for archive in found.values():
        assert next(iter(archive.values())).shape[:2] == (96, 72), "the picture's own size"


@pytest.mark.slow
def test_point_map_head_follows_the_image_size_of_the_data(people: Path, tmp_path: Path) -> None:
    assert fit("pointmap", people, tmp_path, "--data.image_size", "[96, 64]") == 0
    saved = yaml.safe_load((tmp_path / "version_0" / "config.yaml").read_text())
    settings = saved["model"]["heads"]["pointmap"]["init_args"]
    assert settings["image_size"] == [96, 64]


@pytest.mark.slow
def test_released_losses_and_relative_depth_are_settings(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert fit("depth", people, tmp_path / "relative", "--model.heads.depth.relative", "true") == 0
    saved = yaml.safe_load((tmp_path / "relative" / "version_0" / "config.yaml").read_text())
    assert saved["data"]["init_args"]["relative"] is True, "the data follow the head"
    assert fit("depth", people, tmp_path / "refused", "--data.relative", "true") in (1, 2)
    assert "the head predicts meters" in capsys.readouterr().err
    assert fit("depth", people, tmp_path / "released", "--model.heads.depth.released_loss", "true") == 0
    logged = scalars(tmp_path / "released" / "version_0")
    terms = {name for name in logged if name.startswith("train/depth/")}
    assert "train/depth/scale_invariant" in terms and "train/depth/gradient_matching" not in terms


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "settings", "backbone"),
    [
        ("LinearHead", {}, {}),
        ("SMPHead", {"channels": 8, "decoder": "dpt"}, {"size": "tiny", "out_indices": [4, 8, 12, 17]}),
    ],
)
def test_other_networks_of_segmentation_are_one_class_path_away(
    head: str, settings: dict, backbone: dict, tmp_path: Path
) -> None:
    other = {
        "model": {
            "backbone": {"class_path": "sapiens2_lit.backbones.Sapiens2", "init_args": backbone},
            "heads": {"seg": {"class_path": f"sapiens2_lit.heads.{head}", "init_args": settings}},
        }
    }
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    make_dataset(
        tmp_path / "data", 10, Settings(size=(96, 72), tasks=("segmentation",)), workers=1, progress=False
    )
    options = ["--config", str(tmp_path / "other.yaml")]
    assert fit("segmentation_29", tmp_path / "data", tmp_path / "runs", *options) == 0
    saved = torch.load(tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["state_dict"]["heads.seg.conv_seg.weight"].shape[0] == 29
