"""`sapiens2-lit demo` from nothing to the sheet of predictions."""

from pathlib import Path

import cv2
import pytest

from sapiens2_lit.cli.main import main


@pytest.mark.slow
def test_it_generates_trains_measures_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ["demo", "--output", str(tmp_path), "--num", "20", "--steps", "2"]
    assert main(options) == 0
    printed = capsys.readouterr().out
    for name in ("pose/PCK@0.1", "pose/AP", "seg/mIoU", "seg/foreground_mIoU"):
        (line,) = (line for line in printed.splitlines() if line.startswith(name))
        assert 0 <= float(line.split()[-1]) <= 1
    sheet = cv2.imread(str(tmp_path / "predictions.png"))
    assert sheet.shape[0] > 256
    assert sheet.shape[1] > 2 * 5 * 192


def test_too_few_pictures_are_refused_before_any_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["demo", "--output", str(tmp_path / "demo"), "--num", "9"]) == 1
    assert "--num 9: expected 20 or more" in capsys.readouterr().err
    assert main(["demo", "--output", str(tmp_path / "demo"), "--steps", "0"]) == 1
    assert "--steps 0: expected 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
