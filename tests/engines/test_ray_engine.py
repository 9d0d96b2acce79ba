"""On Ray the stages of commands leave, byte for byte, what one process leaves, also where a worker is killed."""

import os
import pickle
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from helpers import tree

from sapiens2_lit import interrupts
from sapiens2_lit.cli import predict_on_ray
from sapiens2_lit.cli.main import main
from sapiens2_lit.curation.score import score
from sapiens2_lit.engines.nodes import what_is_missing
from sapiens2_lit.engines.ray_engine import RayEngine, RayOptions, connect, import_ray, notes_in, ray_engine
from sapiens2_lit.engines.units import BuildJob, Job, Unit
from sapiens2_lit.engines.worker import MOST_STARTS, STOP, Worker, raise_error
from sapiens2_lit.errors import DataError, SapiensError, UntrustedError
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

pytest.importorskip("pyarrow")
SETTINGS = Settings(size=(48, 32), seed=3, tasks=("segmentation",))
FORMATS = [
    "--formats",
    "json",
    "coco",
    "parquet",
    "--batch_size",
    "2",
    "--detector",
    "none",
    "--device",
    "cpu",
]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def connected() -> Iterator[None]:
    """One Ray of two CPUs for all tests here, which commands find connected."""
    pytest.importorskip("ray")
    ray = import_ray()
    connect(ray, "local", num_cpus=2)
    yield
    ray.shutdown()


class Here:
    """Runs units in this process, through all that workers of Ray do, the last one first."""

    concurrency = 2

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def run(self, build: BuildJob, units: Sequence[Unit]) -> Iterator[Any]:
        worker = Worker(pickle.loads(pickle.dumps(build)), self.notes, Path.cwd())
        for unit in reversed(units):
            (answer,) = worker({"unit": [pickle.dumps(unit)]})["answer"]
            raise_error(found := pickle.loads(answer))
            yield found.value


@pytest.fixture
def here(tmp_path: Path) -> Here:
    (tmp_path / "notes").mkdir()
    return Here(tmp_path / "notes")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_predict(connected: None, model: str, photos: Path, tmp_path: Path, capsys: Captured) -> None:
    given = ["predict", "--model", model, "--images", str(photos), *FORMATS, "--output"]
    assert main([*given, str(tmp_path / "one")]) == 1, "one picture is broken"
    said = capsys.readouterr()
    assert main([*given, str(tmp_path / "ray"), "--engine", "ray", "--concurrency", "1"]) == 1
    assert tree(tmp_path / "ray") == tree(tmp_path / "one")
    again = capsys.readouterr()
    assert again.out == said.out.replace("one", "ray")
    assert "broken.png" in again.err


@pytest.mark.slow
@pytest.mark.exhaustive
def test_curate_score(connected: None, photos: Path, tmp_path: Path, capsys: Captured) -> None:
    given = ["curate", "score", str(photos), "--shard_size", "2"]
    given += ["--columns", "sapiens2_lit.curation.Colorfulness", "--output"]
    assert main([*given, str(tmp_path / "one")]) == 0
    said = capsys.readouterr()
    assert main([*given, str(tmp_path / "ray"), "--engine", "ray", "--concurrency", "2"]) == 0
    assert len(tree(tmp_path / "one")) == 4
    assert tree(tmp_path / "ray") == tree(tmp_path / "one")
    assert capsys.readouterr().out == said.out.replace(str(tmp_path / "one"), str(tmp_path / "ray"))
    lost = sorted((tmp_path / "ray").glob("part-*.parquet"))[1]
    lost.unlink()
    assert main([*given, str(tmp_path / "ray"), "--engine", "ray"]) == 0
    assert "3 were there, 1 are new" in capsys.readouterr().out
    assert tree(tmp_path / "ray") == tree(tmp_path / "one")


@pytest.mark.slow
def test_a_worker_is_killed(connected: None, tmp_path: Path) -> None:
    """By SIGKILL, with its second unit half done: Ray starts another one."""
    root, killed = tmp_path / "ray", tmp_path / "killed"

    def dies_once(build: BuildJob) -> Job:
        make = build()

        def job(indices: list[int]) -> Any:
            if indices[0] and not killed.exists():
                killed.touch()
                make(indices[:5])
                os.kill(os.getpid(), signal.SIGKILL)
            return make(indices)

        return job

    class Killing:
        def __init__(self, engine: RayEngine) -> None:
            self.engine = engine

        def run(self, build: BuildJob, units: Sequence[Unit]) -> Iterator[Any]:
            return self.engine.run(lambda: dies_once(build), units)

    root.mkdir()
    with ray_engine(RayOptions(concurrency=1), root) as engine:
        assert make_dataset(root, 33, SETTINGS, engine=Killing(engine)) == 33
    assert killed.exists()
    make_dataset(tmp_path / "one", 33, SETTINGS, workers=1)
    assert tree(root) == tree(tmp_path / "one")


def test_units_in_another_order_leave_the_same_scores(here: Here, photos: Path, tmp_path: Path) -> None:
    for name, engine in (("one", None), ("units", here)):
        done = score(photos, tmp_path / name, shard_size=2, engine=engine)
        assert (done.own, done.kept, done.damaged, done.open) == (4, 0, 1, 0)
    assert tree(tmp_path / "units") == tree(tmp_path / "one")
    assert score(photos, tmp_path / "units", shard_size=2, engine=here).kept == 4
    assert not list(here.notes.iterdir())


def test_predict_goes_on_with_the_parts_that_are_there(
    here: Here, model: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["predict", "--model", model, "--images", str(photos), *FORMATS, "--output"]
    main([*given, str(tmp_path / "one")])
    main([*given, str(tmp_path / "parts"), "--shard", "2/3"])
    monkeypatch.setattr(predict_on_ray, "engine_of", lambda *given: nullcontext(here))
    assert main([*given, str(tmp_path / "parts"), "--engine", "ray", "--resume"]) == 1
    assert tree(tmp_path / "parts") == tree(tmp_path / "one")
    assert main([*given, str(tmp_path / "parts"), "--engine", "ray", "--resume"]) == 1, "all was there"
    assert tree(tmp_path / "parts") == tree(tmp_path / "one")


def test_a_unit_that_fails_is_named(here: Here) -> None:
    def breaks(error: Exception, content: int) -> int:
        if content == 2:
            raise error
        return content

    units = [Unit(f"shard {index}/3", index) for index in (1, 2, 3)]
    for error, kind, message in (
        (DataError("a.png: no picture"), DataError, "shard 2/3: a.png: no picture"),
        (UntrustedError("m.ckpt", ["own.Head"]), UntrustedError, r"shard 2/3: m.ckpt: names own.Head"),
        (
            ZeroDivisionError("0"),
            RuntimeError,
            r"(?s)shard 2/3 failed in process.*line.*ZeroDivisionError: 0",
        ),
    ):
        worker = Worker(partial(partial, breaks, error), here.notes, Path.cwd())
        answers = [pickle.loads(pickle.dumps(worker.do(unit))) for unit in units]
        assert [answer.value for answer in answers] == [1, None, 3]
        with pytest.raises(kind, match=message) as raised:
            for answer in answers:
                raise_error(answer)
        assert not isinstance(raised.value, UntrustedError) or raised.value.class_paths == ["own.Head"]


def test_a_unit_whose_workers_die_is_named(here: Here) -> None:
    def dies(content: Any) -> Any:
        raise SystemExit  # which leaves the unit as a death does

    for _ in range(MOST_STARTS):
        with pytest.raises(SystemExit):
            Worker(lambda: dies, here.notes, Path.cwd()).do(Unit("shard 2/3", 2))
    with pytest.raises(SapiensError, match=r"shard 2/3: its worker died 4 times.*--num_cpus"):
        raise_error(Worker(lambda: dies, here.notes, Path.cwd()).do(Unit("shard 2/3", 2)))


def test_workers_end_when_the_command_asks(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_told", 0)
    worker = Worker(lambda: lambda content: content, here.notes, Path.cwd())
    assert worker.do(Unit("shard 1/2", 1)).value == 1
    (here.notes / STOP).touch()
    worker.watcher.join(60)
    assert worker.do(Unit("shard 2/2", 2)).interrupted


def test_machines_of_a_cluster_are_asked(tmp_path: Path) -> None:
    here = version("sapiens2-lit")
    assert what_is_missing([str(tmp_path)], here) == ""
    assert "does not see" in what_is_missing([str(tmp_path / "elsewhere")], here)
    assert f"has sapiens2-lit {here}, the command is of 9.9" in what_is_missing([], "9.9")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--concurrency 2", "--concurrency is for workers of Ray; it means nothing without --engine ray"),
        ("--engine ray --shard 1/2", "--shard means nothing beside --engine ray"),
        ("--engine ray --devices 2", "--devices means nothing beside --engine ray"),
        ("--engine ray --concurrency 0", "--concurrency 0: expected 1 or more"),
        ("--engine ray --device cuda:1", "--device cuda:1: expected auto, cuda or cpu beside --engine ray"),
        ("--engine ray --device cpu --num_gpus 1", "--num_gpus 1 means nothing beside --device cpu"),
        ("--engine ray", "--engine ray needs Ray: pip install 'sapiens2-lit[ray]'"),
    ],
)
def test_what_does_not_fit_is_said(
    options: str,
    message: str,
    model: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    given = ["predict", "--model", model, "--images", str(photos), "--output", str(tmp_path / "out")]
    assert main([*given, *options.split()]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_notes_of_killed_commands_are_removed(tmp_path: Path) -> None:
    left = tmp_path / ".shards" / f".ray.{'0' * 32}"
    left.mkdir(parents=True)
    with notes_in(tmp_path) as first, notes_in(tmp_path) as second:
        assert not left.exists()
        assert first.is_dir() and second.is_dir(), "a command that works keeps its own"
    assert not list(tmp_path.iterdir())
