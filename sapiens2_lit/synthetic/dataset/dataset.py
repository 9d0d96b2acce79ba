"""Datasets of synthetic people on disk, generated in parallel; existing samples are kept."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.files import remove_unfinished, sole_writer, write_file
from sapiens2_lit.synthetic.dataset.layout import encoded
from sapiens2_lit.synthetic.dataset.manifest import (
    MOST_IMAGES,
    Settings,
    check_same,
    read_manifest,
    write_manifest,
)
from sapiens2_lit.synthetic.dataset.pool import in_processes
from sapiens2_lit.synthetic.dataset.records import assemble, assembled, record, record_path, recorded


def make_dataset(
    root: str | Path, num: int, settings: Settings, *, workers: int | None = None, progress: bool = True
) -> int:
    """Write `num` samples to `root`, or those that are missing there; return how many were made.

    Labels are in the formats of docs/synthetic.md. It may be killed at any time and called again.

    Args:
        root: a folder that is new, empty, or holds a dataset with the same settings.
        num: number of samples in all.
        settings: content of the pictures, and the labels to write.
        workers: number of processes; None for one per CPU, 1 for this process alone.
        progress: whether to show a bar with images per second.

    Raises:
        Interrupted: a signal came; all files on disk are complete.
        SettingError: a setting is out of its range, or the folder holds something else, is in use by another process,
            or is not writable.
    """
    root = Path(root).expanduser()
    if not 1 <= num <= MOST_IMAGES:
        raise SettingError(f"--num {num}: expected 1 to {MOST_IMAGES}")
    if workers is not None and workers < 1:
        raise SettingError(f"--workers {workers}: expected 1 or more")
    with sole_writer(root), remove_unfinished(root):
        return _complete(root, num, settings, workers or _cpus(), progress)


def _complete(root: Path, num: int, settings: Settings, workers: int, progress: bool) -> int:
    """Make the missing samples among the first `num`; return how many were made."""
    found = read_manifest(root)
    done = recorded(root, settings.tasks)
    if found is None:
        write_manifest(root, settings, 0)
        described = 0
    else:
        described = found[1]
        check_same(root, found[0], settings, max(described, max(done, default=-1) + 1), num)
    missing = [index for index in range(num) if index not in done]
    with tqdm(total=num, initial=num - len(missing), unit="image", disable=None if progress else True) as bar:
        for _ in _made(root, missing, settings, workers):
            bar.update()
    if missing or described != num or not assembled(root, settings.tasks):
        assemble(root, settings, num)
    return len(missing)


def _made(root: Path, indices: list[int], settings: Settings, workers: int) -> Iterator[int]:
    """Make samples, and yield each index when it is done, in any order."""
    if workers == 1 or len(indices) < 2:
        for index in indices:
            interrupts.check()
            make_sample(root, index, settings)
            yield index
        return
    yield from in_processes(partial(make_sample, root, settings=settings), indices, workers)


def make_sample(root: Path, index: int, settings: Settings) -> None:
    """Write all files of one sample, its record last.

    Args:
        root: folder of the dataset.
        index: of the sample.
        settings: of the dataset.
    """
    frame = settings.frame(index)
    for name, data in encoded(frame, index, settings.tasks):
        write_file(root, name, data)
    write_file(root, record_path(index), record(frame))


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
