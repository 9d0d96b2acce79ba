"""The page of a test: what it says is what the test logged, and a browser shows it without a network."""

import base64
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
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
    for fact in ("data", "model", "input size", "trained for", "tested on", "test took"):
        assert f"<dt>{fact}</dt>" in page
    assert re.search(r"<dt>step</dt><dd>[123]</dd>", page)
    assert re.search(r'<div class="tile"><b>[\d.]+</b><span>pose · AP</span>', page)
    assert page.count("<polyline") >= 2
    assert "<details><summary>all settings of the run" in page, "settings are folded"


def test_pictures_have_the_pixels_of_the_original(tested: tuple[str, Path]) -> None:
    """The network saw 64 x 48 of pictures of 96 x 72: crops around people are shown with the originals' pixels."""
    coded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', tested[1].read_text())
    sizes = [cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), 1).shape[:2] for one in coded]
    assert max(height for height, _ in sizes) > 64
    assert all(height <= 96 and width <= 72 for height, width in sizes)


def test_worst_samples_come_first_and_it_needs_no_other_file(tested: tuple[str, Path]) -> None:
    page = tested[1].read_text()
    losses = [float(value) for value in re.findall(r"<br>loss ([\d.e+-]+)\b", page)]
    assert len(losses) == 6  # of six people, each shown once
    assert losses == sorted(losses, reverse=True)
    assert page.count('src="data:image/jpeg;base64,') == 12, "labels and prediction of each"
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


def test_a_browser_shows_it_and_opens_a_picture(tested: tuple[str, Path]) -> None:
    """In light and dark, wide and narrow, without a network and without errors."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium to open the page in")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        paper = set()
        for width, scheme in ((1280, "light"), (390, "dark")):
            size = {"width": width, "height": 800}
            tab = opened.new_context(viewport=size, color_scheme=scheme, offline=True).new_page()
            problems: list[str] = []
            tab.on("pageerror", lambda error, problems=problems: problems.append(str(error)))
            tab.goto(tested[1].as_uri())
            assert tab.locator("h2", has_text="pose").count() == 1
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off"
            paper.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            tab.locator(".views button").first.click()
            tab.locator("dialog nav button", has_text="prediction").click()
            before = tab.locator("dialog > img").evaluate("image => image.style.transform")
            tab.locator("dialog nav button", has_text="+").click()
            assert tab.locator("dialog > img").evaluate("image => image.style.transform") != before
            assert not problems
        assert len(paper) == 2
        opened.close()
