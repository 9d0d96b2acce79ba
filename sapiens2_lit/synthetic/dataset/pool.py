"""Processes that do jobs and can be ended at any moment: they share no locks, and each has its own pipe."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from time import monotonic
from typing import Any

import cv2

from sapiens2_lit import interrupts
from sapiens2_lit.errors import SettingError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ASKED_EVERY = 0.1  # seconds between checks whether a signal came
GRACE = 1.0  # seconds for workers to finish a job when the others are no longer needed


def in_processes(job: Callable[[int], None], indices: Sequence[int], workers: int) -> Iterator[int]:
    """Do `job(index)` for all indices, and yield each index when it is done, in any order.

    Args:
        job: a function that can be pickled.
        indices: the jobs.
        workers: number of processes with one thread each. They end with this process, however it ends.

    Raises:
        Interrupted: a signal came; jobs in progress are finished or killed.
        SettingError: a worker was killed.
        Exception: an error of a job.
    """
    todo = iter(indices)
    with _started(job, min(workers, len(indices))) as pool:
        busy = {pipe for pipe in pool if _give(pipe, todo)}
        while busy:
            interrupts.check()
            for pipe in wait(list(busy), ASKED_EVERY):
                assert isinstance(pipe, Connection)
                try:
                    done = pipe.recv()
                except (EOFError, ConnectionError) as error:
                    raise SettingError(
                        f"a worker was killed, perhaps by lack of memory: continue with fewer than --workers {workers}"
                    ) from error
                if isinstance(done, BaseException):
                    raise done
                if not _give(pipe, todo):
                    busy.remove(pipe)
                yield done


def _give(pipe: Connection, todo: Iterator[int]) -> bool:
    """Send a worker its next job; return whether there was one."""
    for index in todo:
        with suppress(OSError):  # killed: receiving reports it
            pipe.send(index)
        return True
    return False


@contextmanager
def _started(job: Callable[[int], None], count: int) -> Iterator[dict[Connection, SpawnProcess]]:
    """Yield the workers by the pipes to them."""
    pool: dict[Connection, SpawnProcess] = {}
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # numpy reads it when a worker imports it
    try:
        for _ in range(count):
            pipe, process = _start(job)
            pool[pipe] = process
        yield pool
    finally:
        _end(pool)
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})


def _start(job: Callable[[int], None]) -> tuple[Connection, SpawnProcess]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with interrupts.left_to_parent():
        resource_tracker.ensure_running()  # it unblocks signals, once
    with theirs, interrupts.left_to_parent():
        process = context.Process(target=_work, args=(job, theirs), daemon=True)
        process.start()
    return ours, process


def _end(pool: dict[Connection, SpawnProcess]) -> None:
    """End the workers by closing their pipes: after their present job, or by force."""
    for pipe in pool:
        pipe.close()
    end = monotonic() + GRACE
    for process in pool.values():
        process.join(max(0.0, end - monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _work(job: Callable[[int], None], pipe: Connection) -> None:
    cv2.setNumThreads(0)
    with pipe:
        while True:
            try:
                index = pipe.recv()
            except (EOFError, ConnectionError):  # the parent has no more jobs, or was killed
                return
            answer: Any = index
            try:
                job(index)
            except Exception as error:  # the parent raises it
                answer = error
            try:
                pipe.send(answer)
            except ConnectionError:
                return
