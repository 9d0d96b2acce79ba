"""The page of a test: what it says is what the test logged, and a browser shows it without a network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import QUIET

from sapiens2_lit.cli.main import main

TINY = ["--config", "pose_17.yaml", "--config", "size/smoke.yaml"]


@pytest.fixture(scope="module")
def tested(figures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a test printed, and its page."""
    output = tmp_path_factory.mktemp("report")
    fit = [
        "fit",
        *TINY,
        *QUIET,
        "--data.root",
        str(figures),
        "--output",
        str(output),
        "--trainer.max_steps",
        "3",
    ]
    assert main(fit) == 0
    test = ["test", "--ckpt_path", "last", "--output", str(output), "--data.test", "val.json", *QUIET]
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words))))
        assert main([*test, "--report", str(output / "page")]) == 0
    return "\n".join(printed), output / "page" / "report.html"


@pytest.mark.slow
def test_it_says_what_the_test_logged(tested: tuple[str, Path]) -> None:
    printed, path = tested
    page = path.read_text()
    (logged,) = re.findall(r"test/pose/loss\s+│?\s*([\d.]+)", printed) or [None]
    shown = re.search(r'<td>loss</td><td class="number">([\d.]+)</td>', page)
    assert shown
    if logged is not None:
        assert float(shown[1]) == pytest.approx(float(logged), rel=1e-3)
    assert "<td>left_wrist</td>" in page
    assert "PCK@0.1" in page
    assert "skeleton: coco17" in page
    assert "<figcaption>000012.jpg" in page, "files by their names within their folder"
    assert page.count("<polyline") >= 2


def test_worst_samples_come_first_and_it_needs_no_other_file(tested: tuple[str, Path]) -> None:
    page = tested[1].read_text()
    losses = [float(value) for value in re.findall(r"<br>loss ([\d.e+-]+)<", page)]
    assert len(losses) == 6  # of six people, each shown once
    assert losses == sorted(losses, reverse=True)
    assert page.count('src="data:image/jpeg;base64,') == 6
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_report_belongs_to_test_alone(figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit = [
        "fit",
        *TINY,
        *QUIET,
        "--data.root",
        str(figures),
        "--output",
        str(tmp_path),
        "--report",
        str(tmp_path),
    ]
    assert main(fit) == 1
    assert "--report has no effect in fit" in capsys.readouterr().err


def test_a_browser_shows_it(tested: tuple[str, Path], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium to open the page in")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={tmp_path}",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", tested[1].as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "<h2>pose</h2>" in done.stdout
    assert done.stdout.count("<img") == 6
