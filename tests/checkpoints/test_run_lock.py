"""One run at a time in a folder: who is refused, and whose lock gives way."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import QUIET

from sapiens2_lit.checkpoints.run_lock import NAME, RunLock, age, is_dead, this_process
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import SettingError


def leave(folder: Path, **changes: Any) -> Path:
    """The lock of another run, as this process would write it but for the changes."""
    folder.mkdir(exist_ok=True)
    path = folder / NAME
    path.write_text(json.dumps({"token": "another", **this_process(), **changes}))
    return path


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    assert process.wait() == 0
    return process.pid


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path / "run"), RunLock(tmp_path / "run")
    first.acquire()
    with pytest.raises(SettingError) as refused:
        second.acquire()
    message = str(refused.value)
    assert "\n" not in message
    for part in (
        str(tmp_path / "run"),
        f"process {os.getpid()} on host {this_process()['host']}",
        "--output",
    ):
        assert part in message
    second.release()
    assert first.path.exists(), "who was refused has nothing to release"
    first.release()
    second.acquire()
    second.release()
    assert list(tmp_path.rglob(".*")) == []


def test_a_folder_made_for_the_lock_goes_with_it_unless_something_was_written(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "empty")
    lock.acquire()
    lock.release()
    assert not (tmp_path / "empty").exists()
    lock = RunLock(tmp_path / "run")
    lock.acquire()
    (tmp_path / "run" / "config.yaml").touch()
    lock.release()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_a_dead_process_of_this_machine_gives_way_at_once(tmp_path: Path) -> None:
    leave(tmp_path, pid=ended_process())
    lock = RunLock(tmp_path)
    lock.acquire()
    assert json.loads(lock.path.read_text())["pid"] == os.getpid()
    lock.release()


def test_another_process_with_the_number_of_the_dead_one_is_not_taken_for_it(tmp_path: Path) -> None:
    leave(tmp_path, started="1")
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


def test_the_same_host_name_on_another_machine_says_nothing_of_a_process() -> None:
    dead = {**this_process(), "pid": ended_process()}
    assert is_dead(dead)
    assert not is_dead({**dead, "machine": "another boot, or another container"})


@pytest.mark.parametrize("content", ["", "[1]", "{", "{}"])
def test_a_lock_that_says_nothing_goes_by_its_age(tmp_path: Path, content: str) -> None:
    path = tmp_path / NAME
    path.write_text(content)
    os.utime(path, (time.time() - 121,) * 2)
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


def test_without_a_sign_of_life_another_machine_gives_way(tmp_path: Path) -> None:
    path = leave(tmp_path, host="node-7")
    os.utime(path, (time.time() - 121,) * 2)
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


@pytest.mark.slow
def test_a_machine_that_died_just_now_is_waited_for_and_one_that_lives_is_refused(tmp_path: Path) -> None:
    said: list[str] = []
    leave(tmp_path, host="node-7")
    lock = RunLock(tmp_path, beat=0.2, stale=3)
    lock.acquire(said.append)  # as no sign of life comes
    assert len(said) == 1 and "node-7" in said[0]
    content = json.loads(lock.path.read_text())
    lock.path.write_text(json.dumps({**content, "host": "node-8"}))  # the same run, seen from another machine
    with pytest.raises(SettingError, match=f"process {os.getpid()} on host node-8"):
        RunLock(tmp_path, beat=0.2, stale=600).acquire()
    lock.release()


def test_an_earlier_start_of_the_same_slurm_job_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, host="node-7", job="4711", restarts=0)
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


def test_a_lock_shows_life_and_notices_that_it_was_taken(tmp_path: Path) -> None:
    lock = RunLock(tmp_path, beat=0.05)
    lock.acquire()
    os.utime(lock.path, (time.time() - 1000,) * 2)
    wait_until(lambda: (age(lock.path) or 0) < 500)
    lock.path.unlink()  # a user who thinks that it is stale
    wait_until(lock.path.exists)
    leave(tmp_path, host="node-7")
    wait_until(lambda: lock.lost)
    lock.release()
    assert lock.path.exists(), "it is another's now"


def test_forked_workers_neither_hold_nor_release_it(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.acquire()
    child = multiprocessing.get_context("fork").Process(target=lock.release)
    child.start()
    child.join()
    assert child.exitcode == 0 and lock.path.exists()
    lock.release()
    assert not lock.path.exists()


def wait_until(condition: Any) -> None:
    while not condition():  # the time limit of the whole suite ends it
        time.sleep(0.01)


@pytest.fixture
def fit(figures: Path, tmp_path: Path) -> Any:
    command = [
        "fit",
        "--config",
        "pose_17.yaml",
        "--config",
        "size/smoke.yaml",
        *QUIET,
        "--trainer.max_steps",
        "1",
    ]
    command += ["--data.root", str(figures), "--output", str(tmp_path), "--trainer.limit_val_batches", "0"]
    return lambda *options: main([*command, *options])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["last", "auto", "FILE"])
def test_fit_does_not_go_on_in_the_folder_of_a_run_that_lives(
    fit: Any, tmp_path: Path, capsys: pytest.CaptureFixture, how: str
) -> None:
    assert fit() == 0
    run = tmp_path / "version_0"
    assert not (run / NAME).exists()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    lock = RunLock(run)
    lock.acquire()
    resume = ["--ckpt_path", str(run / "checkpoints" / "last.ckpt") if how == "FILE" else how]
    capsys.readouterr()
    assert fit(*resume) == 1
    assert f"a run is writing there, process {os.getpid()}" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert {path.name for path in run.rglob("*")} == {path.name for path in before} | {"checkpoints", NAME}
    assert fit() == 0, "a new run has a folder of its own"
    assert (tmp_path / "version_1" / "checkpoints" / "last.ckpt").exists()
    lock.release()
    assert fit(*resume, "--trainer.max_steps", "2") == 0
    assert not list(tmp_path.rglob(NAME))


def test_a_run_that_fails_gives_its_folder_free(fit: Any, tmp_path: Path) -> None:
    assert fit("--data.train", "absent.json") == 1
    assert not list(tmp_path.rglob(NAME))
