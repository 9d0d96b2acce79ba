"""Runs that a signal ends at whatever moment: nothing before they begin, a whole checkpoint after."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from processes import Command, start_command, start_script

MINUTES = 300  # s: much longer than it takes, on a machine with much else to do
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "interrupts.py"


@pytest.mark.slow
def test_twelve_moments(tmp_path: Path) -> None:
    """Two of every command, two commands at a time, beside a busy loop."""
    script = start_script(SCRIPT, ["--delays", "2", "--at-once", "2", "--load", "1"], tmp_path / "log")
    assert script.wait() == 0, script.printed()
    assert script.printed().count("| training |") == 2


def start(root: Path, output: Path, log: Path, *options: str) -> Command:
    """A run of its own process group that would take hours."""
    command = ["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml"]
    command += ["--data.root", str(root), "--output", str(output), "--data.batch_size", "2"]
    command += ["--trainer.accelerator", "cpu", "--trainer.max_steps", "100000", *options]
    return start_command([*command, "--trainer.enable_progress_bar", "false"], log)


def wait_for(folder: Path, pattern: str, run: Command) -> None:
    end = time.monotonic() + MINUTES
    while not list(folder.glob(pattern)):
        assert run.process.is_alive(), run.printed()
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
    options += ["--last_checkpoint.every_n_steps", "4"]
    run = start(figures, tmp_path / "runs", tmp_path / "log", *options)
    wait_for(tmp_path, "runs/version_0/checkpoints/last.ckpt", run)
    os.killpg(run.pid, number)
    assert run.wait(MINUTES) == 128 + number, run.printed()
    printed = run.printed()
    assert "Traceback" not in printed
    assert printed.count("which is saved; go on with --ckpt_path last") == 1
    assert nobody_left(run.pid)
    step = torch.load(tmp_path / "runs/version_0/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert f"after step {step}," in printed


@pytest.mark.slow
def test_before_it_begins_a_run_of_two_ranks_leaves_nothing(figures: Path, tmp_path: Path) -> None:
    options = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.num_workers", "0"]
    run = start(figures, tmp_path / "runs", tmp_path / "log", *options)
    wait_for(tmp_path, "runs/version_0/events*", run)
    os.kill(run.pid, signal.SIGTERM)  # its launched rank has to notice
    assert run.wait(MINUTES) == 143, run.printed()
    assert "Traceback" not in run.printed()
    assert nobody_left(run.pid)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
