"""What killed exports leave goes with the next one to the same place, but never what another process is writing."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sapiens2_lit.atomic_write import held, remove_leftovers
from sapiens2_lit.checkpoints.writer import write_weights
from sapiens2_lit.export.folder import MANIFEST, new_folder


def test_leftovers_of_dead_processes_are_removed(tmp_path: Path) -> None:
    for name in (".out." + "a" * 32, ".out." + "b" * 32):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
    kept = {".out.txt", ".other." + "a" * 32, ".out.short"}
    for name in kept:
        (tmp_path / name).touch()
    with held(tmp_path / (".out." + "b" * 32)):
        with new_folder(tmp_path / "out", overwrite=False) as folder:
            (folder / MANIFEST).touch()
        assert {path.name for path in tmp_path.iterdir()} == {"out", ".out." + "b" * 32, *kept}
    remove_leftovers(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", *kept}


def test_a_file_that_another_process_writes_stays(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from sapiens2_lit.atomic_write import own_file\n"
        "with own_file(Path(sys.argv[1])):\n    print('ready', flush=True); sys.stdin.read()\n"
    )
    target = tmp_path / "model.safetensors"
    writer = subprocess.Popen(
        [sys.executable, "-c", script, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdin is not None and writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    write_weights({"a": torch.ones(2)}, target)
    assert len(list(tmp_path.iterdir())) == 2
    writer.kill()
    writer.wait()
    write_weights({"a": torch.ones(2)}, target)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("replaced", [False, True])
def test_an_export_that_was_about_to_be_replaced_comes_back(replaced: bool, tmp_path: Path) -> None:
    old = tmp_path / f".out.{'c' * 32}.old"
    old.mkdir()
    (old / MANIFEST).write_text("old")
    if replaced:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / MANIFEST).write_text("new")
    seen = []
    with new_folder(tmp_path / "out", overwrite=True) as folder:
        seen.append((tmp_path / "out" / MANIFEST).read_text())
        (folder / MANIFEST).write_text("newest")
    assert seen == ["new" if replaced else "old"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / MANIFEST).read_text() == "newest"
