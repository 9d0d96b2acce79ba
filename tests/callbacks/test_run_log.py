"""`metrics.csv`: one row a step, whatever is logged when, and by whichever start of a run."""

import csv
from pathlib import Path

import pytest

from sapiens2_lit.callbacks.run_log import MetricsTable, RunLog, read_rows


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(newline="")))


def test_what_is_logged_at_one_step_is_one_row(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "version_3")
    assert log.log_dir == str(tmp_path / "version_3")
    log.log_metrics({"train/loss": 0.5, "epoch": 0}, step=0)
    log.log_metrics({"train/loss": 0.25}, step=1)
    log.log_metrics({"val/score": 0.125}, step=1)
    log.log_metrics({"train/loss": 0.1, "val/score": 0.2}, step=2)
    assert rows(tmp_path / "version_3" / "metrics.csv") == [
        {"step": "0", "train/loss": "0.5", "epoch": "0", "val/score": ""},
        {"step": "1", "train/loss": "0.25", "epoch": "", "val/score": "0.125"},
        {"step": "2", "train/loss": "0.1", "epoch": "", "val/score": "0.2"},
    ]


def test_a_run_that_goes_on_keeps_what_came_before_and_replaces_what_it_repeats(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    first = MetricsTable(path)
    for step in range(5):
        first.write(step, {"loss": step, "val": 1} if step == 2 else {"loss": step})
    second = MetricsTable(path, goes_on=True)
    second.write(3, {"loss": 30, "new": 7})
    second.write(4, {"loss": 40})
    assert [row["loss"] for row in rows(path)] == ["0", "1", "2", "30", "40"]
    assert [row["new"] for row in rows(path)] == ["", "", "", "7", ""]
    assert rows(path)[2]["val"] == "1"
    MetricsTable(path, goes_on=False).write(0, {"score": 1})
    assert rows(path) == [{"step": "0", "score": "1"}]


def test_half_a_row_of_a_killed_run_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n0,1.5\n1,2.")
    assert read_rows(path) == [{"step": "0", "loss": "1.5"}]
    MetricsTable(path, goes_on=True).write(1, {"loss": 2.25})
    assert path.read_text() == "step,loss\n0,1.5\n1,2.25\n"


def test_a_table_of_another_program_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("iteration;loss\n0;1\n")
    MetricsTable(path, goes_on=True).write(0, {"loss": 1})
    assert path.read_text() == "step,loss\n0,1\n"
    assert path.with_name("metrics.csv.old").read_text() == "iteration;loss\n0;1\n"
    assert "metrics.csv.old" in caplog.text
