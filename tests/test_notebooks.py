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


def test_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"QUICKSTART_NUM": "20", "QUICKSTART_STEPS": "2", "QUICKSTART_FOLDER": str(tmp_path)}
    for name, value in {**settings, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    (path,) = (path for path in NOTEBOOKS if path.stem == "quickstart")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    text = "".join(output.get("text", "") for output in outputs)
    assert len(pictures) == 3
    assert "on 2 held-out people" in text
    assert "seg/foreground_mIoU" in text
    assert "keypoints (x, y, score) (2, 17, 3)" in text
