"""`sapiens2-lit synth` as users run it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from sapiens2_lit.cli.main import main

SMALL = ["--size", "48", "32", "--workers", "1"]


def test_it_starts_without_torch() -> None:
    code = (
        "import sys; from sapiens2_lit.cli.main import main; "
        "import sapiens2_lit.cli.synth; "
        "assert not {'torch', 'lightning', 'albumentations'} & set(sys.modules), 'slow start'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_what_it_writes_is_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = tmp_path / "people"
    assert main(["synth", str(root), "--num", "10", "--size", "64", "48", "--workers", "1"]) == 0
    printed = capsys.readouterr()
    assert "10 samples, 10 of them new" in printed.out
    assert "\r" not in printed.err, "a bar in a file"
    assert f"sapiens2-lit fit --config pose_308.yaml --data.root {root}" in printed.out
    assert cv2.imread(str(root / "preview.png")).shape[0] > 8 * 64

    fit = ["fit", "--config", "pose_308.yaml", "--config", "size/smoke.yaml", "--data.root", str(root)]
    fit += ["--trainer.max_steps", "1", "--data.batch_size", "4", "--data.num_workers", "0"]
    fit += [
        "--trainer.accelerator",
        "cpu",
        "--trainer.devices",
        "1",
        "--trainer.enable_progress_bar",
        "false",
    ]
    assert main([*fit, "--output", str(tmp_path / "runs")]) == 0
    assert list((tmp_path / "runs").glob("version_0/checkpoints/last.ckpt"))

    assert main(["synth", str(root), "--num", "10", "--size", "64", "48"]) == 0
    assert "10 samples, 0 of them new" in capsys.readouterr().out


def test_few_samples_have_no_validation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["synth", str(tmp_path / "a"), "--num", "1", "--people", "1", "2", *SMALL]) == 0
    assert "--data.val null" in capsys.readouterr().out
    assert (
        main(["synth", str(tmp_path / "b"), "--num", "1", "--tasks", "segmentation", "normal", *SMALL]) == 0
    )
    assert "pose" not in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "b").iterdir()} == {
        "images", "masks", "normals", "valids", "cameras", "splits", "records", "dataset.json", "preview.png",
    }  # fmt: skip


def test_its_advice_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = tmp_path / "my people"
    assert main(["synth", str(root), "--num", "1", "--tasks", "pose", "all", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert f"--data.root '{root}'" in printed
    assert "normals" in printed


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--num", "0"], "--num 0: expected 1"),
        (["--size", "0", "48"], "--size 0 48"),
        (["--people", "2", "1"], "--people 2 1"),
        (["--people", "0"], "--people 0: expected"),
        (["--people", "1", "2", "3"], "--people 1 2 3: expected one or two numbers"),
        (["--field-of-view", "40", "50", "60"], "--field_of_view 40 50 60: expected one or two numbers"),
        (["--tasks", "smell"], "--tasks smell"),
        (["--seed", "-1"], "--seed -1"),
        (["--workers", "0"], "--workers 0"),
    ],
)
def test_mistakes_are_answered_in_one_message(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["synth", str(tmp_path / "out"), *SMALL, *options]) == 1
    printed = capsys.readouterr().err
    assert expected in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("after", ["dataset.json", "records/*.json"])  # workers start; they are at work
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path: Path, workers: str, after: str, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "sapiens2_lit", "synth", str(tmp_path / "out"), "--num", "3000"]
    command += ["--size", "48", "32", "--workers", workers]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(f"out/{after}")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, number)  # as a terminal or SLURM sends it: to the command and its workers
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    name = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[number]
    assert f"stopped by {name}; the same command goes on from here" in printed
    assert "Traceback" not in printed
    with pytest.raises(ProcessLookupError):
        while (
            time.monotonic() < deadline + 60
        ):  # multiprocessing's tracker ends when it sees that the command has
            os.killpg(process.pid, 0)
            time.sleep(0.05)
    assert not list(tmp_path.rglob("*.unfinished"))


def test_without_ray_no_folder_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["synth", str(tmp_path / "new" / "people"), "--num", "2", "--engine", "ray"]) == 1
    assert "pip install 'sapiens2-lit[ray]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
