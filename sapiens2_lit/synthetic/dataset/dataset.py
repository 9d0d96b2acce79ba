"""Datasets of synthetic people on disk, generated in parallel; existing samples are kept."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.engines.units import Engine, Unit
from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.files import remove_unfinished, sole_writer, write_file
from sapiens2_lit.synthetic.dataset.layout import encoded, stem
from sapiens2_lit.synthetic.dataset.manifest import (
    MOST_IMAGES,
    Settings,
    check_same,
    read_manifest,
    write_manifest,
)
from sapiens2_lit.synthetic.dataset.pool import in_processes
from sapiens2_lit.synthetic.dataset.records import assemble, assembled, record, record_path, recorded

UNIT = 16  # samples that a worker of an engine makes at a time


def make_dataset(
    root: str | Path,
    num: int,
    settings: Settings,
    *,
    workers: int | None = None,
    progress: bool = True,
    part: tuple[int, int] = (1, 1),
    engine: Engine | None = None,
) -> int:
    """Write `num` samples to `root`, or those that are missing there; return how many were made.

    Labels are in the formats of docs/synthetic.md. It may be killed at any time and called again.

    Args:
        root: a folder that is new, empty, or holds a dataset with the same settings.
        num: number of samples in all.
        settings: content of the pictures, and the labels to write.
        workers: number of processes; None for one per CPU, 1 for this process alone.
        progress: whether to show a bar with images per second.
        part: (I, N): every N-th sample, from the I-th, counted from 1; the last part to finish completes the dataset.
        engine: makes the samples, instead of processes of this machine.

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
    whole = part[1] == 1
    mine = range(part[0] - 1, num, part[1])

    def own(path: Path) -> bool:
        index = path.name[1:7]  # of `.STEM.SUFFIX.unfinished`
        return whole or (index.isdecimal() and int(index) in mine)

    with sole_writer(root, part=not whole), remove_unfinished(root, own):
        return _complete(root, num, settings, mine, progress, partial(_made, workers or _cpus(), engine))


def _complete(
    root: Path, num: int, settings: Settings, mine: range, progress: bool, made: Callable[..., Iterator[int]]
) -> int:
    """Make the missing samples of this part of the first `num`; return how many were made."""
    found = read_manifest(root)
    done = recorded(root, settings.tasks)
    if found is None:
        write_manifest(root, settings, 0)
        described = 0
    else:
        described = found[1]
        check_same(root, found[0], settings, max(described, max(done, default=-1) + 1), num)
    missing = [index for index in mine if index not in done]
    total = len(mine)
    with tqdm(
        total=total, initial=total - len(missing), unit="image", disable=None if progress else True
    ) as bar:
        for count in made(root, missing, settings):
            bar.update(count)
    if len(mine) < num and not recorded(root, settings.tasks).issuperset(range(num)):
        return len(missing)  # other parts are at work, or will be
    if missing or described != num or not assembled(root, settings.tasks):
        assemble(root, settings, num)
    return len(missing)


def _made(
    workers: int, engine: Engine | None, root: Path, indices: list[int], settings: Settings
) -> Iterator[int]:
    """Make samples in any order; yield the number of further finished ones."""
    if engine is not None:
        slices = [indices[start : start + UNIT] for start in range(0, len(indices), UNIT)]
        units = [Unit(f"samples {stem(some[0])} to {stem(some[-1])}", some) for some in slices]
        yield from engine.run(partial(sample_maker, root, settings), units)
    elif workers == 1 or len(indices) < 2:
        for index in indices:
            interrupts.check()
            make_sample(root, index, settings)
            yield 1
    else:
        job = partial(make_sample, root, settings=settings)
        yield from (1 for _ in in_processes(job, indices, workers))


def sample_maker(root: Path, settings: Settings) -> Callable[[list[int]], int]:
    """Return a function that generates samples in a worker of an engine, and returns their number."""
    cv2.setNumThreads(0)

    def make(indices: list[int]) -> int:
        for index in indices:
            interrupts.check()
            make_sample(root, index, settings)
        return len(indices)

    return make


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
