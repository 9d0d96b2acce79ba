"""What `--model` means: files, runs, folders of runs, hub ids; and older forms of it."""

import os
from pathlib import Path

import pytest
import torch

from sapiens2_lit.cli.find_run import find_checkpoint, find_model, next_run, with_model
from sapiens2_lit.errors import SettingError


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs; the newer one has no best checkpoint."""
    folder = tmp_path / "runs"
    for number, names in ((2, ("best-step=3.ckpt", "last.ckpt")), (10, ("last.ckpt",))):
        checkpoints = folder / f"version_{number}" / "checkpoints"
        checkpoints.mkdir(parents=True)
        for name in names:
            (checkpoints / name).write_bytes(b"")
    return folder


def test_a_folder_means_the_best_of_the_newest_run_that_has_one(runs: Path) -> None:
    best = str(runs / "version_2" / "checkpoints" / "best-step=3.ckpt")
    last = str(runs / "version_10" / "checkpoints" / "last.ckpt")
    assert find_model(str(runs)) == find_model(f"{runs}/best") == best
    assert find_model(f"{runs}/last") == last
    assert find_model(f"{runs}/version_2") == best
    assert find_model(f"{runs}/version_2/last") == str(runs / "version_2" / "checkpoints" / "last.ckpt")
    assert find_model(f"{runs}/version_10") == last, "a run that was not validated"


def test_files_folders_and_hub_ids_stand_for_themselves(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "model.safetensors").write_bytes(b"")
    for source in (
        f"{runs}/version_2/checkpoints/last.ckpt",
        f"{tmp_path}/exported",
        "facebook/sapiens2-seg-0.4b",
    ):
        assert find_model(source) == source


def test_a_folder_without_runs_is_named(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match=r"--model .*nowhere/best: .*nowhere has no run with checkpoints/best\*"
    ):
        find_model(f"{tmp_path}/nowhere/best")
    with pytest.raises(SettingError, match="version_10 has no run"):
        find_model(f"{runs}/version_10/best")


def test_older_forms_are_translated() -> None:
    assert with_model(["--ckpt_path", "a.ckpt", "--out", "o"]) == ["--model", "a.ckpt", "--output", "o"]
    older = ["--ckpt_path", "best", "--output", "runs/x", "--images", "i", "--out=o"]
    assert with_model(older) == ["--model", "runs/x/best", "--output", "o", "--images", "i"]
    assert with_model(["--ckpt_path=last"]) == ["--model", "runs/default/last"]
    today = ["--model", "runs/x", "--output", "o"]
    assert with_model(today) == today
    with pytest.raises(SettingError, match="older name"):
        with_model(["--model", "a", "--ckpt_path", "b"])


def test_auto_is_nothing_where_there_is_nothing(runs: Path, tmp_path: Path) -> None:
    assert find_checkpoint("auto", tmp_path / "empty") is None
    assert find_checkpoint("auto", runs) == f"{runs}/version_10{os.sep}checkpoints{os.sep}last.ckpt"
    with pytest.raises(SettingError, match="--ckpt_path last: no "):
        find_checkpoint("last", tmp_path / "empty")


def test_of_several_best_the_best_is_meant(tmp_path: Path) -> None:
    """Not the newest: that came last among the three that are kept."""
    checkpoints = tmp_path / "version_0" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for time, step in enumerate((10, 30, 20)):
        path = checkpoints / f"best-step={step}.ckpt"
        state = {"best_model_path": f"/elsewhere/{checkpoints / 'best-step=30.ckpt'}"}
        torch.save({"callbacks": {"EarlyStopping{}": {"wait_count": 0}, "ModelCheckpoint{}": state}}, path)
        os.utime(path, (time, time))
    best = str(checkpoints / "best-step=30.ckpt")
    assert find_model(str(tmp_path)) == find_model(f"{tmp_path}/version_0") == best
    assert find_checkpoint("best", tmp_path) == best
    Path(best).unlink()
    assert find_checkpoint("best", tmp_path) == str(checkpoints / "best-step=20.ckpt"), "else the newest"


def test_new_runs_count_on(tmp_path: Path) -> None:
    assert next_run(tmp_path / "nowhere") == tmp_path / "nowhere" / "version_0"
    for name in ("version_2", "version_10", "test", "version_x"):
        (tmp_path / name).mkdir()
    assert next_run(tmp_path) == tmp_path / "version_11"


def test_a_run_killed_between_two_names_of_a_sharded_checkpoint_goes_on(runs: Path) -> None:
    checkpoints = runs / "version_11" / "checkpoints"
    (checkpoints / f".last-step=4.ckpt.{'b' * 32}.old").mkdir(parents=True)
    (checkpoints / "last.ckpt").symlink_to("last-step=4.ckpt")
    assert find_checkpoint("auto", runs) == str(checkpoints / "last.ckpt")
    assert (checkpoints / "last.ckpt").is_dir()
