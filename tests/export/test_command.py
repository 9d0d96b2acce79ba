"""The command: what it refuses, and that a folder is there whole or not at all."""

import errno
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sapiens2_lit.cli import export as command
from sapiens2_lit.cli.main import main

SEG = {"seg": {"class_path": "sapiens2_lit.heads.SegmentationHead"}}


def refused(args: list[str], capsys: pytest.CaptureFixture, status: int = 1) -> str:
    """The message of a command that fails."""
    capsys.readouterr()
    assert main(["export", *args]) == status
    printed = capsys.readouterr().err.split("error: ")[-1]
    assert "Traceback" not in printed
    return printed


def test_several_heads_need_a_choice_and_all_formats_say_so(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source, out = str(checkpoint({"pose": heads["pose"], "seg": heads["seg"]})), str(tmp_path / "out")
    for form in ("released", "transformers"):
        message = refused([source, out, "--format", form], capsys)
        assert f"--format {form} holds one head, and the model has 2 (pose, seg)" in message
        assert "--head NAME" in message
        assert "--format onnx" in message
    for form in ("released", "torch-export"):
        message = refused([source, out, "--format", form, "--head", "nose"], capsys)
        assert "--head nose: the model has no such head, expected one of pose, seg" in message
    message = refused([str(checkpoint({"linear": heads["linear"]})), out, "--format", "released"], capsys)
    assert "cannot hold the head linear (LinearHead)" in message
    assert "--format onnx or --format torch-export" in message
    assert not Path(out).exists()
    assert (
        main(
            [
                "export",
                str(checkpoint({"pose": heads["pose"], "seg": heads["seg"]})),
                out,
                "--format",
                "released",
                "--head",
                "seg",
            ]
        )
        == 0
    )
    assert (Path(out) / "sapiens2_test_seg.safetensors").is_file()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["absent.ckpt", "OUT", "--format", "released"], "absent.ckpt: no such file"),
        (["best", "OUT", "--format", "released"], "of which run? Give --model RUNS/best"),
        (
            ["best", "OUT", "--format", "released", "--output", "OUT/none"],
            "--model OUT/none/best: OUT/none has no run",
        ),
        (["CKPT", "OUT", "--format", "released", "--output", "OUT"], "expected one folder to write"),
        (["CKPT", "OUT", "--format", "released", "--opset", "18"], "--opset has no effect"),
        (["CKPT", "OUT", "--format", "released", "--private"], "--private has no effect"),
        (
            ["CKPT", "OUT", "--format", "released", "--device", "abacus"],
            "device: found 'abacus'",
        ),
        (["CKPT", "CKPT", "--format", "released"], "exists and is not a folder"),
        (["CKPT", "CKPT/inside", "--format", "released"], "its parent folder cannot be made"),
    ],
)
def test_mistakes_are_answered_in_one_message(
    args: list[str], expected: str, checkpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = str(checkpoint(SEG))
    given = [arg.replace("CKPT", source).replace("OUT", str(tmp_path / "out")) for arg in args]
    assert expected.replace("OUT", str(tmp_path / "out")) in refused(given, capsys)
    assert not (tmp_path / "out").exists()


def test_help_names_every_option(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    printed = capsys.readouterr().out
    for option in (
        "--format",
        "--head",
        "--ema",
        "--check",
        "--opset",
        "--device",
        "--overwrite",
        "--push_to_hub",
        "--private",
    ):
        assert option in printed


def test_an_export_is_replaced_only_on_demand_and_other_folders_never(
    checkpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source, out = str(checkpoint(SEG)), tmp_path / "out"
    args = [source, str(out), "--format", "released"]
    out.mkdir()  # an empty one is as good as none
    assert main(["export", *args]) == 0
    (out / "old.txt").write_text("of the old export")
    assert "exists already" in refused(args, capsys)
    assert (out / "old.txt").is_file()
    assert main(["export", *args, "--overwrite"]) == 0
    assert not (out / "old.txt").exists()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    assert "replaces only exports" in refused(
        [source, str(mine), "--format", "released", "--overwrite"], capsys
    )
    assert (mine / "thesis.tex").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("full", [True, False])
def test_what_fails_half_way_leaves_nothing(
    full: bool,
    checkpoint: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """A full disk is told; any other failure is a bug and says so; the earlier export stays."""
    source, out = str(checkpoint(SEG)), tmp_path / "out"
    args = [source, str(out), "--format", "released"]
    assert main(["export", *args]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    error = OSError(errno.ENOSPC, "No space left on device") if full else RuntimeError("a bug")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(command, "write_licence", fail)
    if full:
        message = refused([*args, "--overwrite"], capsys)
        assert "No space left on device (" in message and "nothing is left of it" in message
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            main(["export", *args, "--overwrite"])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_full_disk_is_told_before_any_work(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    message = refused([str(checkpoint(SEG)), str(tmp_path / "out"), "--format", "torch-export"], capsys)
    assert re.search(r"out: needs 4,\d{3},\d{3} bytes, its disk has 3,000,000 bytes free", message)
    assert not (tmp_path / "out").exists()


def test_best_of_a_run_is_found(checkpoint: Any, tmp_path: Path) -> None:
    source = checkpoint(SEG)
    source.rename(source.with_name("best-step=40.ckpt"))
    args = [
        "export",
        "best",
        str(tmp_path / "out"),
        "--format",
        "released",
        "--output",
        str(source.parents[2]),
    ]
    assert main(args) == 0
    assert "40 optimizer steps" in (tmp_path / "out" / "README.md").read_text()
