"""A run's folder: the same whatever the logger, and not there where nothing was learned."""

import csv
import re
from pathlib import Path

import pytest
import yaml
from helpers import PICTURES, QUIET

from sapiens2_lit.cli.loggers import with_logger_folders
from sapiens2_lit.cli.main import main

TINY = ["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", *QUIET]


def fit(root: Path, output: Path, *options: object) -> int:
    return main([*TINY, "--data.root", str(root), "--output", str(output), *map(str, options)])


@pytest.mark.slow
def test_another_logger_and_patience(figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Scores of a model that learns nothing are equal: the second one ends the run."""
    options = [
        "--trainer.logger",
        "CSVLogger",
        "--patience",
        1,
        "--model.optimizer.lr",
        0,
        "--trainer.max_steps",
        20,
    ]
    options += ["--trainer.val_check_interval", 2, "--trainer.check_val_every_n_epoch", "null"]
    options += ["--trainer.log_every_n_steps", 1, "--data.batch_size", 2, *PICTURES]
    assert fit(figures, tmp_path, *options) == 0
    assert (
        "stopped early after step 4: val/score was measured once without getting better"
        in capsys.readouterr().err
    )
    run = tmp_path / "version_0"
    assert [path.name for path in tmp_path.iterdir()] == ["version_0"]
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "checkpoints", "metrics.csv", "pictures", "lightning_logs",
        "curves.png", "labels.png", "train_batch.png", "predictions.png",
    }  # fmt: skip
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best-step=4.ckpt", "last.ckpt"]
    assert sorted(path.relative_to(run).as_posix() for path in run.glob("pictures/*/*.png")) == [
        "pictures/step=2/pose.png",
        "pictures/step=4/pose.png",
    ]
    rows = list(csv.DictReader((run / "metrics.csv").open(newline="")))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert all(row["train/loss"] and row["train/pose/mse"] and row["lr/heads"] for row in rows)
    assert [bool(row["val/score"] and row["val/pose/PCK@0.1"]) for row in rows] == [False, True, False, True]
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["trainer"]["logger"]["init_args"]["save_dir"] == ".", (
        "a run by this file writes into its own folder"
    )

    assert fit(figures, tmp_path, *options[2:], "--trainer.logger", "false", "--ckpt_path", "last") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["version_0"], (
        "without a logger a run goes on in its folder"
    )
    rows = list(csv.DictReader((run / "metrics.csv").open(newline="")))
    assert [row["step"] for row in rows][:4] == ["0", "1", "2", "3"], "what came before is kept"
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.default_root_dir", "elsewhere"], "trainer.default_root_dir: .* give --output elsewhere"),
        (
            ["--trainer.callbacks+", "LearningRateFinder"],
            "LearningRateFinder tries one rate for all parameters",
        ),
        (["--data.root", "nowhere"], "nowhere"),
    ],
)
def test_a_failed_start_says_why_and_leaves_no_folder(
    options: list[str], message: str, figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert fit(figures, tmp_path / "deep" / "runs", *options) == 1
    said = capsys.readouterr().err.strip()
    error = said[said.rindex("error: ") :]
    assert re.search(message, error)
    assert "Traceback" not in error
    assert not (tmp_path / "deep").exists()


def test_loggers_that_need_a_folder_get_that_of_the_run(tmp_path: Path) -> None:
    for option in (
        ["--trainer.logger", "CSVLogger"],
        ["--trainer.logger+=lightning.pytorch.loggers.CSVLogger"],
    ):
        assert with_logger_folders(["fit", *option]) == ["fit", *option, "--trainer.logger.save_dir=."]
    for given in (
        ["fit", "--trainer.logger=TensorBoardLogger", "--trainer.logger.save_dir=here"],
        ["fit", "--trainer.logger", "WandbLogger"],
        ["fit", "--trainer.logger", "false"],
    ):
        assert with_logger_folders(given) == given
    config = tmp_path / "run.yaml"
    loggers = [
        {"class_path": "TensorBoardLogger"},
        {"class_path": "lightning.pytorch.loggers.WandbLogger"},
        "lightning.pytorch.loggers.CSVLogger",
        {"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}},
    ]
    config.write_text(yaml.safe_dump({"model": {"warmup_steps": 3}, "trainer": {"logger": loggers}}))
    filled = yaml.safe_load(with_logger_folders(["fit", "--config", str(config)])[-1])
    assert filled == {
        "model": {"warmup_steps": 3},
        "trainer": {
            "logger": [
                {"class_path": "TensorBoardLogger", "init_args": {"save_dir": "."}},
                {"class_path": "lightning.pytorch.loggers.WandbLogger"},
                {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "."}},
                {"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}},
            ]
        },
    }
