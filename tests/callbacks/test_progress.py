"""How far a run is: a bar that fits 80 columns on a terminal, whole lines without one."""

import io
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from tiny_runs import Pictures, make
from tqdm import tqdm

from sapiens2_lit.callbacks import RunProgressBar
from sapiens2_lit.callbacks.progress import FORMAT, ProgressLines, bar_text, progress_of_run, short
from sapiens2_lit.callbacks.throughput import DataWait, Speed, Throughput
from sapiens2_lit.training.adaptation import Adapt


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_file_lines() -> None:
    assert isinstance(progress_of_run(Terminal()), RunProgressBar)
    assert isinstance(progress_of_run(io.StringIO()), ProgressLines)


@pytest.mark.parametrize("speed", [None, Speed(12345.6, 1.0), Speed(0.0123), Speed(18.23, 0.345)])
@pytest.mark.parametrize("loss", [1.234567e-5, 123456.789, float("nan")])
@pytest.mark.parametrize("total", [100_000, None])
def test_the_bar_fits_80_columns(speed: Speed | None, loss: float, total: int | None) -> None:
    text = bar_text(speed, {"train/loss": loss, "val/score": 0.123456, "train/pose/mse": 1.0})
    line = tqdm.format_meter(
        99_999, total, elapsed=987_654, ncols=80, bar_format=FORMAT, postfix=text
    )  # fmt: skip
    assert len(line) <= 80
    assert "loss" in line and "score 0.123" in line


@pytest.mark.parametrize(("rate", "text"), [(0.4234, "0.42"), (18.26, "18.3"), (1234.4, "1234")])
def test_rates_are_short(rate: float, text: str) -> None:
    assert short(rate) == text


def run(
    folder: Path, callback: L.Callback, steps: int, resume: Path | None = None, **settings: Any
) -> L.Trainer:
    wait = DataWait()
    trainer = L.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, log_every_n_steps=2, enable_checkpointing=False,
        enable_model_summary=False, default_root_dir=folder, profiler=wait, callbacks=[Throughput(wait), callback],
        **settings,
    )  # fmt: skip
    trainer.fit(make(None, Adapt("full")), Pictures(), ckpt_path=resume, weights_only=True)
    return trainer


def test_lines_say_step_losses_speed_and_time_left(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trainer = run(tmp_path, ProgressLines(), 6, val_check_interval=1, check_val_every_n_epoch=None)
    lines = capsys.readouterr().out.splitlines()
    assert not any("\r" in line for line in lines)
    training = [line for line in lines if "images/s" in line]
    assert [line.split("  ")[0] for line in training] == [f"step {n} of 6" for n in (2, 4, 6)]
    for line in training:
        assert "loss " in line and "waits for data" in line and "left " in line
    validations = [line for line in lines if "validation:" in line]
    assert len(validations) == 6
    score = float(trainer.callback_metrics["val/score"])
    assert f"score {score:.4f}" in validations[-1]


def test_a_run_that_goes_on_counts_from_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trainer = run(tmp_path, ProgressLines(), 4, limit_val_batches=0)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    capsys.readouterr()
    run(tmp_path, ProgressLines(), 7, resume=tmp_path / "last.ckpt", limit_val_batches=0)
    said = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines() if "images/s" in line]
    assert said == ["step 6 of 7", "step 7 of 7"]


def test_a_long_evaluation_is_not_silent(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    class Slow(ProgressLines):
        def __init__(self) -> None:
            self.now = 0.0
            super().__init__(clock=self.tick)

        def tick(self) -> float:
            self.now += 31.0
            return self.now

    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False, callbacks=[Slow()],
    )  # fmt: skip
    trainer.validate(make(None, Adapt("full")), Pictures(), verbose=False)
    assert "validation: batch 1 of 1" in capsys.readouterr().out


def test_the_bar_counts_steps_of_the_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    bar = RunProgressBar()
    run(tmp_path, bar, 4, limit_val_batches=0)
    assert bar.train_progress_bar.n == bar.train_progress_bar.total == 4
    assert "4/4" in screen.getvalue() and "img/s" in screen.getvalue()
