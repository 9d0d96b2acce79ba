"""The command as users run it: train, evaluate, kill, continue, extend."""

import os
import signal
import time
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import yaml
from helpers import PICTURES, QUIET, events, scalars
from processes import start_alone

from sapiens2_lit.cli.main import main

TINY = ["--config", "pose_17.yaml", "--config", "size/smoke.yaml"]


def fit(output: Path, root: Path, *options: object) -> Path:
    """Train a tiny pose model; returns the newest run's folder."""
    args = ["fit", *TINY, *QUIET, "--data.root", root, "--output", output, *options]
    assert main([str(arg) for arg in args]) == 0
    return max(output.glob("version_*"))


def scalar(run: Path, name: str) -> dict[int, float]:
    return scalars(run)[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ("pose_308.yaml", "wholebody.json"),
        ("pose_133.yaml", "wholebody.json"),
        ("pose_17.yaml", "person_keypoints.json"),
    ],
)
def test_shipped_configs_train_on_pictures_of_people(
    config: str, labels: str, coco_people: Path, tmp_path: Path
) -> None:
    command = [
        "fit",
        "--config",
        config,
        "--config",
        "size/smoke.yaml",
        "--data.root",
        str(coco_people),
        *QUIET,
    ]
    command += ["--data.train", labels, "--data.val", labels, *PICTURES]
    assert main([*command, "--trainer.max_steps", "4", "--output", str(tmp_path)]) == 0
    run = tmp_path / "version_0"
    assert sorted(path.name for path in (run / "checkpoints").iterdir())[-1] == "last.ckpt"
    assert any((run / "checkpoints").glob("best*.ckpt"))
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["model"]["backbone"]["init_args"]["size"] == "test"
    losses = scalar(run, "train/loss")
    assert len(losses) == 4
    assert torch.tensor(list(losses.values())).isfinite().all()
    tags = events(run).Tags()
    assert tags["images"] == ["val/pose"]
    assert {
        "train/pose/mse", "train/gradient_norm", "lr/heads", "lr/embeddings",
        "val/pose/mse", "val/pose/PCK@0.1", "val/pose/AP", "val/score",
    } <= set(tags["scalars"])  # fmt: skip


@pytest.mark.slow
def test_killed_run_goes_on_as_if_never_killed(figures: Path, tmp_path: Path) -> None:
    """Twice, with gradients accumulated and validation in the middle of an epoch."""
    options = ["--trainer.max_steps", 14, "--data.batch_size", 2, "--trainer.accumulate_grad_batches", 4]
    options += ["--last_checkpoint.every_n_steps", 1, "--trainer.val_check_interval", 5]
    options += ["--trainer.check_val_every_n_epoch", "null"]
    whole = scalar(fit(tmp_path / "whole", figures, *options), "train/loss")

    args = ["fit", *TINY, *QUIET, "--data.root", figures, "--output", tmp_path / "killed", *options]
    last = tmp_path / "killed" / "version_0" / "checkpoints" / "last.ckpt"
    for end, resume in ((4, []), (9, ["--ckpt_path", "last"])):
        process = start_alone([*map(str, args), *resume], tmp_path / f"log{end}")
        assert process.pid is not None
        while process.is_alive() and not stopped_after(process.pid, end, last):
            time.sleep(0.01)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run ended before it could be killed"
        assert end <= steps_done(last) < 14

    run = fit(tmp_path / "killed", figures, *options, "--ckpt_path", "last")
    assert run.name == "version_0", "a continued run stays in its folder"
    assert scalar(run, "train/loss") == whole


def stopped_after(pid: int, steps: int, last: Path) -> bool:
    """Stop it where `steps` are done, but not between a checkpoint and its row of TensorBoard: a kill loses that."""
    if steps_done(last) < steps:
        return False
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
        time.sleep(0.001)
    if max(scalar(last.parents[1], "train/loss")) + 1 >= steps_done(last):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def steps_done(checkpoint: Path) -> int:
    return steps_in(checkpoint, checkpoint.stat().st_mtime_ns) if checkpoint.exists() else 0


@lru_cache(maxsize=1)  # looking into the same file again and again takes the run's time
def steps_in(checkpoint: Path, written: int) -> int:
    return torch.load(checkpoint, weights_only=True)["global_step"]


@pytest.mark.slow
def test_command_line_wins_over_the_checkpoint(figures: Path, tmp_path: Path) -> None:
    fit(tmp_path, figures, "--trainer.max_steps", 3)
    options = ["--ckpt_path", "last", "--model.optimizer.lr", 0.5, "--model.optimizer.weight_decay", 0.25]
    run = fit(tmp_path, figures, "--trainer.max_steps", 6, *options)
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    groups = state["optimizer_states"][0]["param_groups"]
    assert {group["initial_lr"] for group in groups} == {0.5}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.25}
    assert scalar(run, "lr/heads")[3] == pytest.approx(0.5 * 3 / 6)
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["optimizer"]["init_args"]["lr"] == 0.5


@pytest.mark.slow
def test_evaluation_finds_the_saved_configuration(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = fit(tmp_path, figures, "--trainer.max_steps", 3)
    (best,) = (run / "checkpoints").glob("best*.ckpt")
    assert main(["validate", "--ckpt_path", str(best), "--trainer.enable_progress_bar", "false"]) == 0
    assert "val/pose/AP" in capsys.readouterr().out
    for model in (["--model", f"{tmp_path}/best"], ["--ckpt_path", "best", "--output", str(tmp_path)]):
        assert main(["test", *model, "--data.test", "val.json"]) == 0
        assert "test/pose/PCK@0.1" in capsys.readouterr().out
    out = tmp_path / "found"
    command = ["predict", "--model", tmp_path, "--images", figures / "images", "--output", out]
    assert main([*map(str, command), "--formats", "json"]) == 0
    assert len(list(out.rglob("000*.json"))) == 18


@pytest.mark.slow
def test_half_precision_trains_and_validates(figures: Path, tmp_path: Path) -> None:
    run = fit(tmp_path, figures, "--trainer.max_steps", 2, "--trainer.precision", "bf16-mixed")
    assert "val/pose/AP" in events(run).Tags()["scalars"]


def test_nothing_is_measured_without_trained_weights(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["validate", *TINY, *QUIET, "--data.root", str(figures), "--output", str(tmp_path)]) == 1
    assert "give --model or --model.weights" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("coco_people", ["generated"], indirect=True)
def test_small_model_learns_fourteen_people_by_heart(coco_people: Path, tmp_path: Path) -> None:
    """Labels of 12 of the 14 have keypoints."""
    args = [
        "fit",
        "--config",
        "pose_17.yaml",
        "--config",
        "size/nano.yaml",
        "--data.root",
        coco_people,
        *QUIET,
    ]
    args += ["--data.image_size", "[64, 48]"]  # a quarter of the overlay's
    args += ["--data.train", "person_keypoints.json", "--data.val", "person_keypoints.json"]
    args += ["--data.augment", "null", "--data.batch_size", 12]
    args += ["--trainer.max_steps", 60, "--trainer.check_val_every_n_epoch", 30, "--output", tmp_path]
    assert main([str(arg) for arg in args]) == 0
    reached = scalar(tmp_path / "version_0", "val/pose/PCK@0.1")
    assert max(reached.values()) > 0.9


CUSTOM_HEAD = '''
"""How much of the picture is bright: a head of the reader's own."""
import torch
from torch import nn
from sapiens2_lit.heads.base import Head

class BrightnessHead(Head):
    targets = ("image",)
    def __init__(self, embed_dim: int, weight: float = 1.0) -> None:
        super().__init__()
        self.linear, self.weight = nn.Linear(embed_dim, 1), weight
    def forward(self, features):
        return self.linear(features[-1].mean((2, 3)))
    def loss(self, outputs, batch):
        return {"l1": self.weight * (outputs[:, 0] - batch["image"].float().mean((1, 2, 3)) / 255).abs().mean()}
    def predict(self, outputs, batch):
        return {"brightness": outputs[:, 0]}
'''


@pytest.mark.slow
def test_custom_head_is_one_file_and_one_line(
    figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("brightness.py").write_text(CUSTOM_HEAD)
    Path("own.yaml").write_text(
        "model: {heads: {bright: {class_path: brightness.BrightnessHead, init_args: {weight: 2.0}}}}"
    )
    run = fit(tmp_path, figures, "--config", "own.yaml", "--trainer.max_steps", 3)
    assert set(scalar(run, "train/bright/l1")) == {0, 1, 2}
    names = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert {name.split(".")[1] for name in names if name.startswith("heads.")} == {"bright"}
