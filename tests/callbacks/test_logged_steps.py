"""Numbers of a run that goes on stand under the steps of the optimizer."""

import csv
from pathlib import Path

import pytest
from helpers import QUIET

from sapiens2_lit.cli.main import main


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["best", "last"])
def test_a_run_that_was_stopped_early_goes_on_without_a_shift(
    kind: str, figures: Path, tmp_path: Path
) -> None:
    args = [
        "fit",
        "--config",
        "pose_17.yaml",
        "--config",
        "size/smoke.yaml",
        *QUIET,
        "--data.root",
        str(figures),
    ]
    args += ["--output", str(tmp_path), "--data.batch_size", "4", "--trainer.accumulate_grad_batches", "1"]
    args += ["--trainer.val_check_interval", "2", "--trainer.check_val_every_n_epoch", "null"]
    args += ["--trainer.log_every_n_steps", "1", "--model.optimizer.lr", "1e-9"]
    assert main([*args, "--trainer.max_steps", "12", "--patience", "1"]) == 0
    assert main([*args, "--trainer.max_steps", "12", "--ckpt_path", kind]) == 0
    with (tmp_path / "version_0" / "metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == list(range(12))
