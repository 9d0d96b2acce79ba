"""The whole command on random files in the released layout: healthy, and with faults that it must find."""

import getpass
import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import strict_loading
from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.verify import announce
from sapiens2_lit.errors import Interrupted, WeightsError
from sapiens2_lit.verify import run, weights
from sapiens2_lit.verify.page import FAILED, NOTHING, PASSED
from sapiens2_lit.verify.setting import Setting

OPTIONS = ["--quick", "--device", "cpu", "--tasks", "normal"]


def verified(output: Path, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status, and the rows of verify.json by their names."""
    status = main(["verify", *OPTIONS, "--output", str(output), *options])
    rows = json.loads((output / "verify.json").read_text())["rows"]
    return status, {row["name"]: row for row in rows}


def failed(rows: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, row in rows.items() if row["status"] == "failed"}


@pytest.fixture
def without_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_sizes", lambda opened, setting: [])


@pytest.mark.slow
def test_healthy_weights_pass_and_nothing_private_is_written(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    output = tmp_path / "report"
    status, rows = verified(output, "--weights", str(released))
    assert status == PASSED and not failed(rows)
    compared = [name for name, row in rows.items() if ", float32" in name and row["status"] == "passed"]
    assert len(compared) == 3
    assert sum(name.endswith("from picture to result") for name in rows) == 2
    trained = {name.rpartition(" ")[2] for name in rows if name.startswith("training")}
    assert trained == {"frozen", "last_blocks", "full", "lora"}
    assert rows["resume 32 wide: stopped and never stopped"]["figure"] == "0"
    skipped = {name: row["reason"] for name, row in rows.items() if row["status"] == "skipped"}
    assert any("planned" in name for name in skipped) and all(skipped.values())
    text = capsys.readouterr().out
    assert all(name in " ".join(text.split()) for name in rows)
    for file in ("verify.json", "verify.html"):
        written = (output / file).read_text()
        assert str(tmp_path) not in written and str(released) not in written and "<img" not in written
        assert platform.node() not in written and f"/{getpass.getuser()}" not in written


@pytest.mark.slow
def test_planted_faults_are_found(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_trainings: None
) -> None:
    """A tensor in the wrong order, a truncated file, a file of another size, and weights that are not there."""
    pytest.importorskip("transformers")
    root = tmp_path / "downloads"
    shutil.copytree(released, root)
    (root / "parts" / "model.safetensors").write_bytes(
        (released / "parts" / "model.safetensors").read_bytes()[:9999]
    )
    shutil.copytree(released / "normals", root / "sapiens2-normal-1b")
    copy = strict_loading._copy

    def wrong(target: torch.Tensor, source: torch.Tensor) -> None:
        copy(target, source)
        if target.shape == (32, 32) and target.requires_grad:  # queries and their like
            target.copy_(target.flip(0))

    monkeypatch.setattr(strict_loading, "_copy", wrong)
    places = [str(root), str(tmp_path / "nowhere")]
    status, rows = verified(tmp_path / "report", "--weights", *places)
    assert status == FAILED
    assert {"weights 1: tokens, float32", "weights 2: outputs, float32"} <= failed(rows)
    assert "wrong place" in rows["weights 1: tokens, float32"]["reason"]
    half, size, nowhere = (rows[f"{name}: weights"] for name in ("weights 3", "normal 1b", "weights 5"))
    assert all(row["status"] == "failed" for row in (half, size, nowhere))
    assert "hf download" in half["reason"] and "<path>/model.safetensors" in half["reason"]
    assert "the name says 1b, the tensors are of 32 wide" in size["reason"]
    assert "no such file or folder" in nowhere["reason"]
    assert str(tmp_path) not in json.dumps(rows)


@pytest.mark.slow
def test_a_wrong_normalization_is_found(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_trainings: None
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr(Sapiens2, "std", (57.0, 57.0, 57.0))
    status, rows = verified(
        tmp_path / "report", "--weights", str(released / "backbone"), str(released / "normals")
    )
    assert status == FAILED
    assert {"weights 1: tokens, float32", "weights 2: outputs, float32"} <= failed(rows)
    assert "normalized" in rows["weights 2: outputs, float32"]["reason"]


def test_without_transformers_rows_say_what_to_install(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_trainings: None
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    status, rows = verified(tmp_path / "report", "--weights", str(released / "backbone"))
    assert status == NOTHING and not failed(rows)
    assert rows["weights 1: strict loading"]["status"] == "passed"
    row = rows["weights 1: tokens, float32"]
    assert row["status"] == "skipped" and "pip install 'sapiens2-lit[verify]'" in row["reason"]


def test_an_unknown_task_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--tasks", "hands"]) == 1
    assert "--tasks: found hands, expected some of pose" in capsys.readouterr().err


def test_an_interrupted_run_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(setting: object) -> list[object]:
        raise Interrupted(2, "stopped by SIGINT")

    monkeypatch.setattr(run, "find_sources", interrupted)
    assert main(["verify", *OPTIONS, "--output", str(tmp_path)]) == 130
    rows = json.loads((tmp_path / "verify.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["Python", "packages", "torch", "processor", "card"]
    assert "has the 5 checks before it" in capsys.readouterr().err


def test_large_downloads_are_announced(
    make_setting: Callable[..., Setting], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(place: str, find_files: object, download: bool = True) -> list[Path]:
        raise WeightsError("not here")

    monkeypatch.setattr(weights, "fetch", fetch)
    announce(make_setting(sizes=("5b",)))
    assert "fetching up to" in capsys.readouterr().err
    announce(make_setting(sizes=("5b",), download=False))
    announce(make_setting(sizes=("0.1b",)))
    assert capsys.readouterr().err == ""
