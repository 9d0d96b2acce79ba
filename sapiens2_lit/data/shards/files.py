"""Functions that readers need besides the methods of a path, fast for local folders, and valid for packed ones."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
