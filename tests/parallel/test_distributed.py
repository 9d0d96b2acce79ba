"""Two real processes train and measure as one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import scalars


def run(output: Path, root: Path, *options: str) -> dict[str, float]:
    """Train in processes of their own; returns the last validation's values."""
    command = [
        sys.executable,
        "-m",
        "sapiens2_lit",
        "fit",
        "--config",
        "pose_17.yaml",
        "--config",
        "size/smoke.yaml",
    ]
    command += ["--data.root", str(root), "--output", str(output), "--data.num_workers", "0"]
    command += ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--trainer.max_steps", "-1"]
    command += ["--trainer.enable_progress_bar", "false", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    logged = scalars(output / "version_0").items()
    return {name: values[max(values)] for name, values in logged if name.startswith("val/")}


@pytest.mark.slow
def test_two_processes_train_and_measure_as_one(figures: Path, tmp_path: Path) -> None:
    one = run(tmp_path / "one", figures, "--data.batch_size", "4", "--trainer.devices", "1")
    ddp = ["--data.batch_size", "2", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    two = run(tmp_path / "two", figures, *ddp)
    assert one.keys() == two.keys() >= {"val/pose/AP", "val/pose/PCK@0.1", "val/pose/mse", "val/score"}
    assert two == pytest.approx(one, abs=1e-5)
    assert sorted(path.name for path in tmp_path.glob("two/*/checkpoints/*.ckpt"))[-1] == "last.ckpt"
    assert len(list(tmp_path.glob("two/version_*"))) == 1
