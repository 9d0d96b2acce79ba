"""Functions that readers need besides the methods of a path, fast for local folders, and valid for packed ones."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import glob, has_magic
from itertools import takewhile
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryDirectory

from sapiens2_lit.data.shards.paths import ShardPath


@contextmanager
def real_file(path: Path) -> Iterator[str]:
    """Yield the name of a file on disk with the content of `path`, for libraries that open files themselves."""
    if not isinstance(path, ShardPath) or not path.is_packed():
        yield str(path)
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(path.read_bytes())
        yield str(copy)


@contextmanager
def mapped(path: Path) -> Iterator[mmap | bytes]:
    """Yield the bytes of a file that is not empty, for searching; large local files are mapped, not read."""
    with path.open("rb") as file:
        if isinstance(file, io.BytesIO):
            yield file.getvalue()
        else:
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                yield data


def names_in(folder: Path) -> list[str]:
    """Return the names of the files and folders in a folder."""
    if isinstance(folder, ShardPath):
        return folder.names()
    with os.scandir(folder) as entries:  # no path for each name: there may be millions
        return [entry.name for entry in entries]


def walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk a folder like `os.walk`; the first list may be changed."""
    if not isinstance(folder, ShardPath):
        for parent, folders, files in os.walk(folder):
            yield Path(parent), folders, files
        return
    inner, packed, others = folder.inside()
    folders = sorted(inner)
    yield folder, folders, sorted({*packed, *others})
    for name in folders:
        yield from walk(folder / name)


def folder_of(pattern: Path) -> Path:
    """Return the folder before the first part of a path that has `*`, `?` or `[`."""
    return type(pattern)(*takewhile(lambda part: not has_magic(part), pattern.parts))


def matching(pattern: Path) -> Iterator[Path]:
    """Yield the files and folders that match a pattern, as `glob.glob` with `recursive`; in a packed folder, files."""
    if not isinstance(pattern, ShardPath):
        yield from map(Path, glob(str(pattern), recursive=True))  # noqa: PTH207 - absolute patterns
        return
    folder = folder_of(pattern)
    if not folder.is_dir():
        return
    parts = pattern.relative_to(folder).parts
    for parent, _, names in walk(folder):
        inner = parent.relative_to(folder).parts
        yield from (parent / name for name in names if _fits((*inner, name), parts))


def _fits(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether the names of a path match a pattern's parts; only patterns with a dot match hidden names."""
    if not patterns or not names:
        return not names and all(part == "**" for part in patterns)
    shown = not names[0].startswith(".")
    if patterns[0] == "**":
        return _fits(names, patterns[1:]) or (shown and _fits(names[1:], patterns))
    named = shown or patterns[0].startswith(".")
    return named and fnmatchcase(names[0], patterns[0]) and _fits(names[1:], patterns[1:])
