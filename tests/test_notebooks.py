"""The notebooks run from top to bottom, and are committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs"), f"outputs after: {cell.source[:60]}"
        assert cell.get("execution_count") is None


def execute(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, num: int) -> tuple[int, str]:
    """Run a notebook in `folder`, on few pictures for two steps; returns how many pictures it shows, and its text."""
    prefix = name.upper()
    settings = {f"{prefix}_NUM": str(num), f"{prefix}_STEPS": "2", f"{prefix}_FOLDER": str(folder)}
    for variable, value in {**settings, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(variable, value)
    (path,) = (path for path in NOTEBOOKS if path.stem == name)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    return len(pictures), "".join(output.get("text", "") for output in outputs)


@pytest.mark.slow
def test_custom_head_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, text = execute("custom_head", tmp_path, monkeypatch, num=30)
    assert pictures == 1
    assert "30 images; left and right:" in text
    assert "test/contact/accuracy" in text
    assert "test/contact/f1" in text


@pytest.mark.slow
def test_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, text = execute("quickstart", tmp_path, monkeypatch, num=20)
    assert pictures == 3
    assert "on 2 held-out people" in text
    assert "seg/foreground_mIoU" in text
    assert "keypoints (x, y, score) (2, 17, 3)" in text


@pytest.mark.slow
def test_pretraining_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, text = execute("pretraining", tmp_path, monkeypatch, num=20)
    assert pictures == 1
    assert "20 pictures in images" in text
    assert "how well pixels are guessed, not how good the features are" in text
    for row in ("pretrained", "random", "pixels"):
        assert f"{row:12} mIoU 0." in text


@pytest.mark.slow
def test_distillation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = execute("distillation", tmp_path, monkeypatch, num=20)
    assert "20 pictures for the teacher" in text
    assert "times as fast as its teacher" in text
    for name in ("teacher", "alone", "taught", "pool"):
        assert f"{name:8} mIoU 0." in text
    assert "20 masks of the teacher" in text
