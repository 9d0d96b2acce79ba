"""The notebooks run from top to bottom, and are committed without outputs."""

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from processes import server

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs"), f"outputs after: {cell.source[:60]}"
        assert cell.get("execution_count") is None


def execute(name: str, folder: Path, num: int) -> tuple[int, str]:
    """Run a notebook in `folder`, on few pictures for two steps; returns how many pictures it shows, and its text."""
    prefix = name.upper()
    settings = {f"{prefix}_NUM": str(num), f"{prefix}_STEPS": "2", f"{prefix}_FOLDER": str(folder)}
    (path,) = (path for path in NOTEBOOKS if path.stem == name)
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    shown = folder / "shown.json"
    process = server().Process(target=run_cells, args=(cells, folder, settings, shown))
    process.start()
    process.join(600)
    status = process.exitcode
    process.kill()  # where it hangs
    assert status == 0, "the cell's error stands above"
    pictures, text = json.loads(shown.read_text())
    return pictures, text


def run_cells(cells: list[str], folder: Path, settings: dict[str, str], shown: Path) -> None:
    """What a kernel does, in a process that has imported everything; writes the number of pictures, and the text."""
    os.environ.update({**settings, "OMP_NUM_THREADS": "1"})
    torch.set_num_threads(1)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    shell, pictures, text = InteractiveShell.instance(), 0, ""
    kinds = shell.display_formatter
    kinds.active_types = kinds.format_types  # pictures, too
    for source in cells:
        with capture_output() as captured:
            result = shell.run_cell(source)
        if not result.success:
            sys.exit(f"{captured.stdout}{captured.stderr}\nin the cell:\n{source}")
        shown_last = [] if result.result is None else [kinds.format(result.result)[0]]
        outputs = [*(output.data for output in captured.outputs), *shown_last]
        pictures += sum("image/png" in output for output in outputs)
        text += captured.stdout
    shown.write_text(json.dumps([pictures, text]))


@pytest.mark.slow
def test_custom_head_runs(tmp_path: Path) -> None:
    pictures, text = execute("custom_head", tmp_path, num=30)
    assert pictures == 1
    assert "30 images; left and right:" in text
    assert "test/contact/accuracy" in text
    assert "test/contact/f1" in text


@pytest.mark.slow
def test_quickstart_runs(tmp_path: Path) -> None:
    pictures, text = execute("quickstart", tmp_path, num=20)
    assert pictures == 3
    assert "on 2 held-out people" in text
    assert "seg/foreground_mIoU" in text
    assert "keypoints (x, y, score) (2, 17, 3)" in text


@pytest.mark.slow
def test_pretraining_runs(tmp_path: Path) -> None:
    pictures, text = execute("pretraining", tmp_path, num=20)
    assert pictures == 1
    assert "20 pictures in images" in text
    assert "how well pixels are guessed, not how good the features are" in text
    for row in ("pretrained", "random", "pixels"):
        assert f"{row:12} mIoU 0." in text


@pytest.mark.slow
def test_distillation_runs(tmp_path: Path) -> None:
    _, text = execute("distillation", tmp_path, num=20)
    assert "20 pictures for the teacher" in text
    assert "times as fast as its teacher" in text
    for name in ("teacher", "alone", "taught", "pool"):
        assert f"{name:8} mIoU 0." in text
    assert "20 masks of the teacher" in text


@pytest.mark.slow
def test_own_labels_runs(tmp_path: Path) -> None:
    pictures, text = execute("own_labels", tmp_path, num=20)
    assert pictures == 2
    assert "20 pictures, 8 points: l_shoulder r_shoulder" in text
    assert (tmp_path / "check" / "check.html").is_file()
    assert "PCK@0.1 of held-out people" in text


@pytest.mark.slow
def test_relighting_runs(tmp_path: Path) -> None:
    pictures, text = execute("relighting", tmp_path, num=20)
    assert pictures == 1
    assert text.count("degrees from the exact normals") == 2


@pytest.mark.slow
def test_gait_runs(tmp_path: Path) -> None:
    pictures, text = execute("gait", tmp_path, num=20)
    assert pictures == 2
    assert "120 steps a minute were made" in text
    assert "exact     120 steps a minute" in text, "what is measured is what was made"
    assert "steadied" in text
