"""A signal in a validation of training: it ends there, leaves no score, and is repeated when the run goes on."""

import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from helpers import QUIET, scalars

from sapiens2_lit.checkpoints.run_lock import NAME, RunLock
from sapiens2_lit.cli.main import main

STEPS = ["--trainer.max_steps", "8", "--trainer.val_check_interval", "2", "--data.batch_size", "2"]
STEPS += ["--trainer.check_val_every_n_epoch", "null", "--trainer.num_sanity_val_steps", "0"]


class Signals(L.Callback):
    """Sends SIGTERM to its process where it is told to."""

    def __init__(self, step: int, hook: str, batch: int = 0) -> None:
        self.step, self.hook, self.batch = step, hook, batch

    def send(self, trainer: L.Trainer, hook: str, batch: int = 0) -> None:
        if (trainer.global_step, hook, batch) == (self.step, self.hook, self.batch):
            os.kill(os.getpid(), signal.SIGTERM)

    def on_validation_batch_start(
        self, trainer: L.Trainer, module: Any, data: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.send(trainer, "batch", batch_idx)

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        self.send(trainer, "end")


def fit(figures: Path, output: Path, *options: str) -> int:
    command = ["fit", "--config", "pose_17.yaml", "--config", "size/test.yaml", *QUIET, *STEPS]
    return main([*command, "--data.root", str(figures), "--output", str(output), *options])


def signalled(step: int, hook: str) -> list[str]:
    return [
        "--trainer.callbacks+=test_preemption.Signals",
        f"--trainer.callbacks.step={step}",
        f"--trainer.callbacks.hook={hook}",
    ]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--model.ema", "{}"), ("--last_checkpoint.every_n_steps", "1")])
def test_a_validation_ends_at_its_next_batch_and_is_repeated(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    assert fit(figures, tmp_path / "whole", *more) == 0
    whole = scalars(tmp_path / "whole" / "version_0")
    assert fit(figures, tmp_path / "cut", *more, *signalled(4, "batch")) == 143
    assert "after step 4, which is saved; go on with --ckpt_path last" in capsys.readouterr().err
    run = tmp_path / "cut" / "version_0"
    score, before = whole["val/pose/mse"], scalars(run)["val/pose/mse"]
    assert before == {step: score[step] for step in sorted(score)[:1]}
    assert fit(figures, tmp_path / "cut", *more, "--ckpt_path", "last") == 0
    after = scalars(run)
    assert after["val/pose/mse"] == pytest.approx(score)
    assert after["train/loss"] == pytest.approx(whole["train/loss"])


@pytest.mark.slow
def test_after_the_last_step_nothing_is_left_to_do(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(figures, tmp_path, *signalled(8, "end")) == 143
    assert "after step 8, the last one, which is saved; training is done" in capsys.readouterr().err
    assert len(scalars(tmp_path / "version_0")["val/pose/mse"]) == 4
    assert not (tmp_path / "version_0" / NAME).exists()


@pytest.mark.slow
def test_a_refused_run_leaves_nothing_whatever_its_logger(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path / "csv")]
    logger += ["--trainer.logger.version", "0"]
    run = tmp_path / "out" / "version_0"  # where a run lies whatever its logger
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    (run / "config.yaml").touch()
    lock = RunLock(run)
    lock.acquire()
    before = sorted(tmp_path.rglob("*"))
    assert fit(figures, tmp_path / "out", *logger, "--ckpt_path", "last") == 1
    assert "a run is writing there" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    lock.release()
