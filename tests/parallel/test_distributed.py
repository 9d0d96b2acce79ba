"""Two real processes train and measure as one does."""

from pathlib import Path

import pytest
from helpers import QUIET, scalars
from processes import start_command

from sapiens2_lit.cli.main import main


def command(output: Path, root: Path, *options: str) -> list[str]:
    """Two epochs of a tiny pose model."""
    found = ["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", *QUIET]
    found += ["--data.root", str(root), "--output", str(output)]
    return [*found, "--trainer.max_epochs", "2", "--trainer.max_steps", "-1", *options]


def measured(output: Path) -> dict[str, float]:
    """The last validation's values."""
    logged = scalars(output / "version_0").items()
    return {name: values[max(values)] for name, values in logged if name.startswith("val/")}


@pytest.mark.slow
def test_two_processes_train_and_measure_as_one(figures: Path, tmp_path: Path) -> None:
    assert main(command(tmp_path / "one", figures, "--data.batch_size", "4")) == 0
    ddp = ["--data.batch_size", "2", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    run = start_command(command(tmp_path / "two", figures, *ddp), tmp_path / "log")
    assert run.wait() == 0, run.printed()
    one, two = measured(tmp_path / "one"), measured(tmp_path / "two")
    assert one.keys() == two.keys() >= {"val/pose/AP", "val/pose/PCK@0.1", "val/pose/mse", "val/score"}
    assert two == pytest.approx(one, abs=1e-5)
    assert sorted(path.name for path in tmp_path.glob("two/*/checkpoints/*.ckpt"))[-1] == "last.ckpt"
    assert len(list(tmp_path.glob("two/version_*"))) == 1
