"""Ctrl-C on a real Ray: the command ends, no process of Ray stays, and the same command goes on to the same bytes."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from sapiens2_lit import interrupts
from sapiens2_lit.cli.main import main

pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.exhaustive,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
PATIENCE = 300  # s, for a machine with much else to do
_SUBREAPER = 36  # of prctl: this process becomes the parent of those whose own one has ended


@dataclass
class Work:
    """A command that works for a while.

    Attributes:
        args: of the command, without the folder of the results.
        enough: number of files after which it is interrupted.
        status: of a run to the end.
        resume: what the same command takes to go on.
    """

    args: list[str]
    enough: int
    status: int = 0
    resume: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def pool(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 pictures, and a broken one."""
    folder = tmp_path_factory.mktemp("pool")
    for path in photos.iterdir():
        for index in range(1 if path.name == "broken.png" else 40):
            (folder / f"{index}_{path.name}").hardlink_to(path)
    return folder


@pytest.fixture
def works(pool: Path, model: str) -> dict[str, Work]:
    size = ["--size", "48", "32", "--tasks", "segmentation"]
    given = ["--model", model, "--images", str(pool), "--formats", "json", "coco", "parquet"]
    quick = ["--batch_size", "2", "--detector", "none", "--device", "cpu"]
    return {
        "synth": Work(["synth", "OUT", "--num", "160", *size], 40),
        "predict": Work(["predict", "--output", "OUT", *given, *quick], 30, 1, ("--resume",)),
        "score": Work(["curate", "score", str(pool), "--output", "OUT", "--shard_size", "8"], 4),
    }


@pytest.fixture
def adopting() -> Iterator[None]:
    """This process gets the children of processes below it that end."""
    pytest.importorskip("ray")
    library = ctypes.CDLL(None)
    library.prctl(_SUBREAPER, 1, 0, 0, 0)
    yield
    library.prctl(_SUBREAPER, 0, 0, 0, 0)


def descendants() -> dict[int, str]:
    """Command lines of the processes below this one by number, without those that have ended."""
    parents, commands = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            commands[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ProcessLookupError):  # ended meanwhile
            continue
        if state != "Z":
            parents[int(place.name)] = int(parent)
    found = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return {pid: commands[pid] for pid in found - {os.getpid()}}


def start(args: list[str], out: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [str(out) if arg == "OUT" else arg for arg in args]
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "sapiens2_lit", *command, "--engine", "ray", "--concurrency", "1"],
            stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


def wait_for_files(process: subprocess.Popen[bytes], out: Path, number: int, log: Path) -> None:
    """Wait until so many files are there that are not hidden, while the command works."""
    until = time.monotonic() + PATIENCE
    while len(shown(out)) < number:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


def shown(folder: Path) -> dict[str, bytes]:
    """The files that are neither hidden nor in a hidden folder."""
    return {name: data for name, data in tree(folder).items() if "/." not in f"/{name}"}


def tree(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
        except FileNotFoundError:  # a temporary file, which has got its name meanwhile
            continue
    return found


def wait_for_no_process(before: set[int]) -> None:
    """Wait until no process is left that was started since; those of Ray end shortly after the command."""
    until = time.monotonic() + 60
    while (found := {pid: one for pid, one in descendants().items() if pid not in before}) and (
        time.monotonic() < until
    ):
        time.sleep(0.1)
    assert not found


@pytest.mark.parametrize(("name", "target"), [("synth", "group"), ("predict", "process"), ("score", "group")])
def test_ctrl_c_leaves_whole_files_and_no_process(
    works: dict[str, Work], name: str, target: str, adopting: None, tmp_path: Path
) -> None:
    """To the command's process alone, or to its group, as a terminal does."""
    work, out, log = works[name], tmp_path / "ray" / "out", tmp_path / "log"
    whole = tmp_path / "one" / "out"
    for place in (out.parent, whole.parent):
        place.mkdir()
    assert main([str(whole) if arg == "OUT" else arg for arg in work.args]) == work.status
    before = set(descendants())
    process = start(work.args, out, log)
    wait_for_files(process, out, work.enough, log)
    (os.killpg if target == "group" else os.kill)(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    said = log.read_text()
    assert "stopped by Ctrl-C; the same command" in said
    assert "goes on from here" in said
    assert "Traceback" not in said
    wait_for_no_process(before)
    there, expected = shown(out), shown(whole)
    own = {"dataset.json"}  # says that the folder is not finished
    assert work.enough <= len(there) < len(expected)
    assert {path: there[path] for path in there.keys() - own} == {
        path: expected.get(path) for path in there.keys() - own
    }
    assert start([*work.args, *work.resume], out, log).wait(PATIENCE) == work.status, log.read_text()
    assert tree(out) == tree(whole)
    wait_for_no_process(before)


def test_a_second_ctrl_c_ends_it_at_once(works: dict[str, Work], adopting: None, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    before = set(descendants())
    process = start(works["synth"].args, out, log)
    wait_for_files(process, out, works["synth"].enough, log)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(2 * interrupts.REPEATED)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    assert "stopped by Ctrl-C" in log.read_text()
    wait_for_no_process(before)
    assert not list(out.glob(".shards/*")), "notes of workers"
    for path in out.rglob("*.*"):
        if path.suffix in (".png", ".jpg"):
            with Image.open(path) as image:
                image.load()
