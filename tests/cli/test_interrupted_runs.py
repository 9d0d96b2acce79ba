"""Runs that a signal ends at whatever moment: nothing before they begin, a whole checkpoint after."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

MINUTES = 300  # s: much longer than it takes, on a machine with much else to do
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "interrupts.py"


@pytest.mark.slow
def test_twelve_moments() -> None:
    """Two of every command, two commands at a time, beside a busy loop."""
    command = [sys.executable, str(SCRIPT), "--delays", "2", "--at-once", "2", "--load", "1"]
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| training |") == 2


def start(root: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    """A run of its own process group that would take hours."""
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
    command += ["--data.root", str(root), "--output", str(output), "--data.batch_size", "2"]
    command += ["--trainer.accelerator", "cpu", "--trainer.max_steps", "100000", *options]
    command += ["--trainer.enable_progress_bar", "false"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + MINUTES
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, f"no {pattern}"
        time.sleep(0.02)


def nobody_left(group: int) -> bool:
    end = time.monotonic() + MINUTES
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_ranks_that_lightning_starts_end_together(figures: Path, tmp_path: Path) -> None:
    number = signal.SIGINT  # as a terminal sends it, to all of them
    options = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.num_workers", "1"]
    process = start(figures, tmp_path / "runs", *options, "--last_checkpoint.every_n_steps", "4")
    wait_for(tmp_path, "runs/version_0/checkpoints/last.ckpt", process)
    os.killpg(process.pid, number)
    _, printed = process.communicate(timeout=MINUTES)
    assert process.returncode == 128 + number, printed
    assert "Traceback" not in printed
    assert printed.count("which is saved; go on with --ckpt_path last") == 1
    assert nobody_left(process.pid)
    step = torch.load(tmp_path / "runs/version_0/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert f"after step {step}," in printed


@pytest.mark.slow
def test_before_it_begins_a_run_of_two_ranks_leaves_nothing(figures: Path, tmp_path: Path) -> None:
    options = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.num_workers", "0"]
    process = start(figures, tmp_path / "runs", *options)
    wait_for(tmp_path, "runs/version_0/events*", process)
    os.kill(process.pid, signal.SIGTERM)  # its launched rank has to notice
    _, printed = process.communicate(timeout=MINUTES)
    assert process.returncode == 143, printed
    assert "Traceback" not in printed
    assert nobody_left(process.pid)
    assert not list(tmp_path.iterdir())
