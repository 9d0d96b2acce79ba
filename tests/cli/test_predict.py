"""A `predict` that ends before it has written anything leaves no folder."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit import interrupts
from sapiens2_lit.cli import predict as command
from sapiens2_lit.cli.main import main


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    options = ["--images", str(tmp_path / "a.png"), "--model", str(tmp_path / "none.ckpt")]
    return ["predict", *options, "--output", str(tmp_path / "new" / "found")]


def test_without_a_model_the_folders_it_made_go(arguments: list[str], tmp_path: Path) -> None:
    assert main(arguments) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_that_was_there_stays(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert main(arguments) == 1
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process that the signal ends is forked")
def test_nor_where_a_signal_ends_it_at_once(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(options: object) -> None:
        assert (tmp_path / "new" / "found").is_dir()
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the process has ended")

    monkeypatch.setattr(command, "build_predictor", load)
    if (child := os.fork()) == 0:
        try:
            interrupts._listener = None
            main(arguments)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
    assert not (tmp_path / "new").exists()
