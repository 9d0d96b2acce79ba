"""What a run says and leaves, without a terminal or a logger: its lines, its end, its pictures; test and compare."""

import json
import re
import shlex
from pathlib import Path

import cv2
import pytest
import yaml
from helpers import QUIET

from sapiens2_lit.cli.main import main

TINY = ["--config", "pose_17.yaml", "--config", "size/smoke.yaml", "--trainer.accelerator", "cpu"]
ALONE = ["--trainer.devices", "1", "--data.num_workers", "0"]
PICTURES = ("curves.png", "labels.png", "train_batch.png", "predictions.png")


@pytest.fixture(scope="module")
def spoken(figures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What `fit` wrote to standard output, and where its runs are."""
    from contextlib import redirect_stdout
    from io import StringIO

    output = tmp_path_factory.mktemp("spoken")
    options = ["--data.root", str(figures), "--output", str(output), "--trainer.max_steps", "4"]
    with redirect_stdout(StringIO()) as said:
        command = [
            "fit",
            *TINY,
            *ALONE,
            *options,
            "--trainer.logger",
            "false",
            "--trainer.val_check_interval",
            "2",
        ]
        assert main([*command, "--trainer.check_val_every_n_epoch", "null"]) == 0
    return said.getvalue(), output


@pytest.mark.slow
def test_lines_and_pictures_need_no_terminal_and_no_logger(spoken: tuple[str, Path]) -> None:
    said, output = spoken
    assert "\r" not in said
    for step in range(1, 5):
        assert re.search(rf"^step {step} of 4  loss .* images/s", said, re.MULTILINE)
    assert len(re.findall(r"^step \d of 4  validation:  score", said, re.MULTILINE)) == 2
    run = output / "version_0"
    for name in PICTURES:
        picture = cv2.imread(str(run / name))
        assert picture is not None and picture.std() > 1, name
    heading = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"throughput/images_per_second", "throughput/waiting_for_data", "memory/process_gib"} <= set(
        heading
    )


@pytest.mark.slow
def test_the_end_says_the_best_and_commands_that_work(
    spoken: tuple[str, Path], capsys: pytest.CaptureFixture
) -> None:
    said, output = spoken
    run = output / "version_0"
    (best,) = (run / "checkpoints").glob("best*.ckpt")
    step = int(re.findall(r"\d+", best.stem)[-1])
    assert re.search(
        rf"^best val/score 0\.\d{{4}} at step {step}: {re.escape(str(best))}$", said, re.MULTILINE
    )
    assert all(name in said for name in PICTURES)
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("  sapiens2-lit ")]
    assert [command[1] for command in commands] == ["test", "predict", "export", "fit"]
    places = [word for command in commands for word in command if "/" in word and "onnx" not in word]
    assert all(Path(place).exists() for place in places if not place.endswith("predictions"))
    test, _, _, go_on = commands
    assert main([*test[1:], *QUIET]) == 0
    assert "test/pose/PCK@0.1" in capsys.readouterr().out
    assert main([*go_on[1:], *QUIET]) == 0
    assert "trained to step 8" in capsys.readouterr().out
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_steps"] == 8


@pytest.mark.slow
def test_test_says_ten_numbers_and_writes_all(
    spoken: tuple[str, Path], capsys: pytest.CaptureFixture
) -> None:
    run = spoken[1] / "version_0"
    assert main(["test", "--model", str(run), "--data.test", "val.json", *QUIET]) == 0
    rows = re.findall(r"^  test/(\S+) +(\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert 3 <= len(rows) <= 10
    assert [name for name, _ in rows][:4] == ["score", "pose/AP", "pose/PCK@0.1", "pose/PCK@0.05"]
    assert all(re.fullmatch(r"-?\d+\.\d{4}|[\d.e+-]+", value) for _, value in rows)
    written = json.loads((run / "test" / "metrics.json").read_text())
    assert written["samples"] == 6 and written["checkpoint"].endswith(".ckpt")
    for name, value in rows:
        assert written["metrics"][name] == pytest.approx(float(value), abs=1e-4)
    assert "pose/PCK@0.1/nose" in written["metrics"]


@pytest.mark.slow
def test_no_duration_is_said_and_saved(figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A run of 500 steps that a limit of time would end: here its configuration is looked at alone."""
    from sapiens2_lit.cli import choose_steps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose_steps, "FEWEST", 3)
        patch.setattr(choose_steps, "EPOCHS", 1)
        options = ["--data.root", str(figures), "--output", str(tmp_path), "--data.batch_size", "2"]
        assert main(["fit", *TINY, *QUIET, *options]) == 0
        assert "6 steps: 1 epochs of 12 samples, 2 a step" in capsys.readouterr().err
        last = str(tmp_path / "version_0" / "checkpoints" / "last.ckpt")
        patch.setattr(choose_steps, "EPOCHS", 5)
        assert main(["fit", *TINY, *QUIET, *options, "--ckpt_path", last]) == 0
        assert "6 steps: as the run was begun with" in capsys.readouterr().err
    saved = yaml.safe_load((tmp_path / "version_0" / "config.yaml").read_text())
    assert saved["trainer"]["max_steps"] == 6 and saved["trainer"]["val_check_interval"] == 1
