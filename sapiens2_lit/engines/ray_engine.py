"""Units on Ray Data: on this machine, or on the cluster of RAY_ADDRESS.

Rows of a dataset are units, and actors that hold the job map over them. No picture passes through Ray: workers read and
write files themselves. What dies is Ray's to start again: actors, and the unit that one had.
"""

import logging
import os
import pickle
import queue
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import held, remove_leftovers, unwritable_is_error
from sapiens2_lit.engines.nodes import check_nodes
from sapiens2_lit.engines.units import BuildJob, Unit
from sapiens2_lit.engines.worker import STOP, Worker, raise_error
from sapiens2_lit.errors import SettingError

OBJECT_STORE = 128 * 2**20  # bytes on this machine: units and answers are small
_LOOK = 0.1  # s between looks at whether a signal came
_GRACE = 20.0  # s that workers have to write what is under way
_TRIES = 5  # to start Ray, which waits 30 s for its own processes: too short on a machine that is busy
_SLOW = "timed out during startup"
_SHORT = 2**20  # bytes of a block of Ray Data, which else reserves memory for large ones

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RayOptions:
    """How units are run.

    Attributes:
        concurrency: workers; None for one on each GPU, or each CPU where they use no GPU.
        num_cpus: CPUs that each reserves.
        num_gpus: GPUs that each has, or a share of one; None for one where there are some.
    """

    concurrency: int | None = None
    num_cpus: float = 1
    num_gpus: float | None = None


class RayEngine:
    """Runs units on a Ray that is connected.

    Attributes:
        concurrency: workers.

    Args:
        ray: the library.
        options: of the workers.
        notes: folder for notes of workers, on storage that all of them see.
        local: Ray runs on this machine alone, and gets no further ones.

    Raises:
        SettingError: a worker asks for more than there is.
    """

    def __init__(self, ray: Any, options: RayOptions, notes: Path, local: bool) -> None:
        self.ray, self.options, self.notes = ray, options, notes
        there = ray.cluster_resources()
        cpus, gpus = there.get("CPU", 0), there.get("GPU", 0)
        self.num_gpus = (1 if gpus else 0) if options.num_gpus is None else options.num_gpus
        most = int(
            min(cpus / options.num_cpus, gpus / self.num_gpus if self.num_gpus else cpus / options.num_cpus)
        )
        self.concurrency = options.concurrency or max(1, most)
        if local and self.concurrency > most:
            raise SettingError(
                f"--concurrency {self.concurrency} with --num_cpus {options.num_cpus:g} and --num_gpus "
                f"{self.num_gpus:g}: Ray has {cpus:g} CPUs and {gpus:g} GPUs, which is enough for {most}"
            )

    def run(self, build: BuildJob, units: Sequence[Unit]) -> Iterator[Any]:
        """Run units as `Engine.run` does; give up those under way if the caller stops early.

        Raises:
            SapiensError: A job raised it, or workers cannot start or went on dying.
            Interrupted: A signal came.
        """
        if not units:
            return
        answers: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        thread = threading.Thread(target=self._answers_to, args=(answers, build, units), daemon=True)
        thread.start()
        said: set[str] = set()
        try:
            while True:
                interrupts.check()
                try:
                    found = answers.get(timeout=_LOOK)
                except queue.Empty:
                    continue
                if found is None:
                    break
                if isinstance(found, BaseException):
                    raise found
                answer = pickle.loads(found)
                for level, text in answer.said:
                    if text not in said:
                        said.add(text)
                        log.log(level, "%s", text)
                raise_error(answer)
                if not answer.interrupted:
                    yield answer.value
            interrupts.check()
        finally:
            if thread.is_alive():
                with suppress(OSError):
                    (self.notes / STOP).touch()
                thread.join(_GRACE)

    def _answers_to(
        self,
        answers: "queue.SimpleQueue[bytes | BaseException | None]",
        build: BuildJob,
        units: Sequence[Unit],
    ) -> None:
        """Run a dataset; the main thread, which hears signals, waits for what comes of it."""
        from ray.data import ActorPoolStrategy, DataContext, from_items

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = _SHORT
        context.target_min_block_size = 0
        workers = min(self.concurrency, len(units))
        try:
            rows = [{"unit": pickle.dumps(unit)} for unit in units]
            done = from_items(rows, override_num_blocks=len(rows)).map_batches(
                Worker,
                fn_constructor_args=(build, self.notes, Path.cwd()),
                batch_size=1,
                batch_format="numpy",
                compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
                num_cpus=self.options.num_cpus,
                num_gpus=self.num_gpus,
            )
            for row in done.iter_rows():
                answers.put(row["answer"])
            answers.put(None)
        except BaseException as error:
            answers.put(error)


@contextmanager
def ray_engine(options: RayOptions, output: Path, places: Sequence[Path] = ()) -> Iterator[RayEngine]:
    """Start Ray, or connect to the cluster of RAY_ADDRESS; one that is connected already is used and left as it is.

    Args:
        options: of the workers.
        output: folder of the results, which is there.
        places: other files and folders that workers read.

    Raises:
        SettingError: Ray is not installed, there is no cluster at the address, a machine of it does not see the
            folders, or a worker asks for more than there is.
    """
    ray = import_ray()
    mine = not ray.is_initialized()
    address = os.environ.get("RAY_ADDRESS") or "local"
    end = interrupts.undone(partial(end_started, Path(ray.__file__).parent)) if mine else nullcontext()
    # Ray tells of workers that died on standard output, where results are said
    with redirect_stdout(sys.stderr), notes_in(output) as notes, end:
        try:
            if mine:
                connect(ray, address)
            local = mine and address == "local"
            if not local:
                check_nodes(ray, [Path.cwd(), notes, *(place.absolute() for place in places)])
            yield RayEngine(ray, options, notes, local)
        finally:
            if mine:
                ray.shutdown()
                interrupts.take_back()


def connect(ray: Any, address: str, **more: Any) -> None:
    """Start Ray on this machine, or connect to a cluster; without a dashboard, and without a word.

    Args:
        ray: the library.
        address: `local`, or that of a cluster.
        more: arguments of `ray.init`.

    Raises:
        SettingError: it does not start, or there is no cluster.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address == "local":
        more |= {"object_store_memory": OBJECT_STORE, "include_dashboard": False}
    try:
        for tries in reversed(range(_TRIES)):
            interrupts.check()
            try:
                with silent():
                    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
                return
            except Exception as error:
                ray.shutdown()
                if tries and _SLOW in str(error):
                    end_started(Path(ray.__file__).parent)
                    continue
                reason = str(error).strip().partition("\n")[0]
                where = "on this machine" if address == "local" else f"at RAY_ADDRESS={address}"
                raise SettingError(f"--engine ray: no Ray {where}: {reason}") from error
    finally:
        interrupts.take_back()


def end_started(package: Path) -> None:
    """End at once what Ray has started from this process, and all below (Linux).

    Args:
        package: folder of Ray, whose programs they run.
    """
    for child in children_of("self"):
        with suppress(OSError):
            if f"{package}/".encode() in Path("/proc", child, "cmdline").read_bytes():
                for number in (child, *all_below(child)):
                    with suppress(OSError):
                        os.kill(int(number), signal.SIGKILL)


def all_below(process: str) -> list[str]:
    """Return the numbers of the processes that a process has started, and of those that they have, as text (Linux)."""
    children = children_of(process)
    return [number for child in children for number in (child, *all_below(child))]


def children_of(process: str) -> list[str]:
    """Return the numbers of a process's children, as text (Linux)."""
    found: list[str] = []
    for listed in Path("/proc", process, "task").glob("*/children"):
        with suppress(OSError):
            found += listed.read_text().split()
    return found


@contextmanager
def silent() -> Iterator[None]:
    """Drop what C++ code writes to standard error: Ray says there how much it will say."""
    before = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def import_ray() -> Any:
    """Ray, told to send no statistics and to write no log to the terminal.

    Raises:
        SettingError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingError("--engine ray needs Ray: pip install 'sapiens2-lit[ray]'") from error
    return ray


@contextmanager
def notes_in(output: Path) -> Iterator[Path]:
    """Make a folder below OUTPUT/.shards for notes of workers; remove it at the end, and those of killed commands."""
    above = output.absolute() / ".shards"
    remove_leftovers(above / "ray")
    notes = above / f".ray.{uuid4().hex}"
    with unwritable_is_error(notes):
        notes.mkdir(parents=True)

    def remove() -> None:
        shutil.rmtree(notes, ignore_errors=True)
        with suppress(OSError):  # not empty: a run of `predict` is not finished
            above.rmdir()

    try:
        with held(notes), interrupts.undone(remove):
            yield notes
    finally:
        remove()
