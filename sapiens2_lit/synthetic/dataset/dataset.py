"""Datasets of synthetic people on disk, made in parallel; what is there is not made again."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
from tqdm import tqdm

from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.files import sole_writer, write_file
from sapiens2_lit.synthetic.dataset.layout import encoded
from sapiens2_lit.synthetic.dataset.manifest import (
    MOST_IMAGES,
    Settings,
    check_same,
    read_manifest,
    write_manifest,
)
from sapiens2_lit.synthetic.dataset.records import assemble, assembled, record, record_path, recorded

JOBS_AT_ONCE = 2048  # that wait in memory
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def make_dataset(
    root: str | Path, num: int, settings: Settings, *, workers: int | None = None, progress: bool = True
) -> int:
    """Write `num` samples to `root`, or those that are missing there; returns how many were made.

    Labels are in the formats of docs/synthetic.md. It may be killed at any time and called again.

    Args:
        root: a folder that is new, empty, or holds the dataset of the same settings.
        num: of samples in all.
        settings: what they show and which labels are written.
        workers: processes; None for one on each CPU, 1 for this process alone.
        progress: show a bar with images per second.

    Raises:
        SettingError: a setting out of its range, a folder that holds something else, that another process is
            writing to, or that cannot be written.
    """
    root = Path(root).expanduser()
    if not 1 <= num <= MOST_IMAGES:
        raise SettingError(f"--num {num}: expected 1 to {MOST_IMAGES}")
    if workers is not None and workers < 1:
        raise SettingError(f"--workers {workers}: expected 1 or more")
    with sole_writer(root):
        return _complete(root, num, settings, workers or _cpus(), progress)


def _complete(root: Path, num: int, settings: Settings, workers: int, progress: bool) -> int:
    """Make what is missing of the first `num` samples; returns how many that were."""
    found = read_manifest(root)
    done = recorded(root, settings.tasks)
    if found is None:
        write_manifest(root, settings, 0)
        described = 0
    else:
        described = found[1]
        check_same(root, found[0], settings, max(described, max(done, default=-1) + 1), num)
    missing = [index for index in range(num) if index not in done]
    with tqdm(total=num, initial=num - len(missing), unit="image", disable=not progress) as bar:
        for _ in _made(root, missing, settings, workers):
            bar.update()
    if missing or described != num or not assembled(root, settings.tasks):
        assemble(root, settings, num)
    return len(missing)


def _made(root: Path, indices: list[int], settings: Settings, workers: int) -> Iterator[int]:
    """Make samples and give each index when it is done, in any order."""
    if workers == 1 or len(indices) < 2:
        for index in indices:
            yield make_sample(root, index, settings)
        return
    with _workers(min(workers, len(indices))) as pool:
        for start in range(0, len(indices), JOBS_AT_ONCE):
            with _interrupts_wait():  # workers start when jobs are submitted
                jobs = [
                    pool.submit(make_sample, root, index, settings)
                    for index in indices[start:][:JOBS_AT_ONCE]
                ]
            for job in as_completed(jobs):
                yield job.result()


def make_sample(root: Path, index: int, settings: Settings) -> int:
    """Write all files of one sample, its record last; returns the index."""
    frame = settings.frame(index)
    for name, data in encoded(frame, index, settings.tasks):
        write_file(root, name, data)
    write_file(root, record_path(index), record(frame))
    return index


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each; what waits is dropped when anything goes wrong."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # read by numpy when a worker imports it
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise SettingError(
            f"a worker was killed, perhaps for want of memory: go on with fewer than --workers {count}"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C is answered afterwards, and never by processes started here, not even while they import."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by what is started
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers it, and lets samples be finished
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next job forever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
