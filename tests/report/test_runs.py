"""Runs side by side: the best of each, what differs, and errors that name the folder."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sapiens2_lit.callbacks.pictures import write_png
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import SettingError
from sapiens2_lit.report.runs import differing, find_runs


def write_run(folder: Path, scores: list[float], test: dict[str, Any] | None = None, **settings: Any) -> Path:
    folder.mkdir(parents=True)
    content = {
        "output": str(folder.parent),
        "model": {"optimizer": {"lr": 1e-4}, **settings},
        "data": {"root": "people"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    with (folder / "metrics.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "val/score", "val/pose/AP"])
        rows.writerows([10 * place + 9, score, score / 2] for place, score in enumerate(scores))
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    write_png(folder / "pictures" / "step=9" / "pose.png", picture)
    write_png(folder / "pictures" / "step=10" / "pose.png", picture)
    if test is not None:
        (folder / "test").mkdir()
        (folder / "test" / "metrics.json").write_text(json.dumps({"metrics": test}))
    return folder


def test_the_best_is_the_later_of_equal_ones_and_the_rest_is_of_its_step(tmp_path: Path) -> None:
    (run,) = find_runs(
        [write_run(tmp_path / "version_0", [0.1, 0.4, 0.4, 0.2], {"score": None, "pose/AP": 0.3})]
    )
    assert run.best == (30, 0.4) and run.steps == 40
    assert run.at_best() == {"val/score": 0.4, "val/pose/AP": 0.2}
    assert run.tested["pose/AP"] == 0.3 and np.isnan(run.tested["score"])
    assert run.pictures()["pose"].parent.name == "step=10", "by number, not by name"


def test_what_was_measured_of_a_state_that_is_gone_does_not_count(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "version_0", [0.1, 0.4], {"score": 0.3})
    (folder / "checkpoints").mkdir(exist_ok=True)
    written = {"metrics": {"score": 0.3}, "checkpoint": "somewhere/version_0/checkpoints/best-step=20.ckpt"}
    (folder / "test" / "metrics.json").write_text(json.dumps(written))
    assert find_runs([folder])[0].tested == {}
    (folder / "checkpoints" / "best-step=20.ckpt").touch()
    assert find_runs([folder])[0].tested == {"score": 0.3}, "wherever the command was given"


def test_folders_of_runs_are_read_in_order_and_told_apart(tmp_path: Path) -> None:
    for number in (2, 10):
        write_run(tmp_path / "a" / f"version_{number}", [0.1])
    write_run(tmp_path / "b" / "version_0", [0.2], drop_path=0.1)
    runs = find_runs([tmp_path / "a", tmp_path / "b", tmp_path / "a" / "version_2"])
    assert [run.name for run in runs] == ["a/version_2", "a/version_10", "b/version_0"]
    assert differing(runs) == {"model.drop_path": [None, None, 0.1]}, "where a run lies is no difference"


def test_the_command_ranks_them_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_run(tmp_path / "version_0", [0.1, 0.2])
    write_run(tmp_path / "version_1", [0.3, 0.25], warmup_steps=7)
    write_run(tmp_path / "version_2", [])
    assert main(["compare", str(tmp_path), "--output", str(tmp_path / "page")]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["version_1", "version_0", "version_2"]
    assert "0.3000" in lines[1] and "–" in lines[3]
    assert "model.warmup_steps" in said
    page = (tmp_path / "page" / "compare.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 3
    assert "http" not in page.replace("http-equiv", "")
    assert "<svg" in page and "val/pose/AP" in page


@pytest.mark.parametrize("broken", ["config.yaml", "metrics.csv"])
def test_what_cannot_be_read_is_named(broken: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "version_0", [0.1])
    (run / broken).write_text("step,val/score\nx,y\n" if broken == "metrics.csv" else "a: [")
    with pytest.raises(SettingError, match=broken.replace(".", r"\.")):
        find_runs([run])


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no run in it"):
        find_runs([tmp_path])
    with pytest.raises(SettingError, match="no such folder"):
        find_runs([tmp_path / "nothing"])
