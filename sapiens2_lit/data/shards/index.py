"""The places of a packed folder's files in an SQLite file, so that millions of names load in no time.

Tables: `folders` (id, path), "" for the root; `files` (folder, name, shard, offset, size, crc). `shard` is the number
of a tar file, or null for a file beside the shards with its own name.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sapiens2_lit.errors import DataError

NAME = "index.sqlite"
_SCHEMA = """
PRAGMA page_size = 4096;
CREATE TABLE folders (id INTEGER PRIMARY KEY, path TEXT NOT NULL);
CREATE TABLE files (folder INTEGER NOT NULL, name TEXT NOT NULL, shard INTEGER, offset INTEGER NOT NULL,
    size INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (folder, name)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Entry:
    """The bytes of one file.

    Attributes:
        shard: number of its tar file; None for a file beside the shards.
        offset: of the first byte.
        size: number of bytes.
        crc: CRC-32 of the bytes.
    """

    shard: int | None
    offset: int
    size: int
    crc: int


def write_index(path: Path, entries: Iterable[tuple[str, Entry]]) -> None:
    """Write the index of files by their relative paths with slashes; `path` must not exist."""
    folders: dict[str, int] = {}
    with closing(sqlite3.connect(path)) as base, base:
        base.executescript(_SCHEMA)
        rows = ((folder_id(folders, name), name.rpartition("/")[2], e.shard, e.offset, e.size, e.crc)
                for name, e in sorted(entries, key=lambda one: one[0]))  # fmt: skip
        base.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
        base.executemany(
            "INSERT INTO folders VALUES (?, ?)", ((number, path) for path, number in folders.items())
        )


def folder_id(folders: dict[str, int], name: str) -> int:
    """Return the number of a file's folder; new folders and their parents get numbers."""
    parent = name.rpartition("/")[0]
    for end in [place for place, letter in enumerate(parent) if letter == "/"] + [len(parent)]:
        folders.setdefault(parent[:end], len(folders))
    return folders.setdefault(parent, len(folders))


class Index:
    """The files of a packed folder by their paths. Processes and threads may share one.

    Args:
        path: the SQLite file; it must not change.

    Raises:
        DataError: it is no SQLite file, or no index.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self.folders  # noqa: B018 - reads them

    @cached_property
    def folders(self) -> dict[str, int]:
        """Numbers of folders by path; the root is ""."""
        return {"": -1, **dict(self._rows("SELECT path, id FROM folders"))}

    @cached_property
    def _inner(self) -> dict[str, list[str]]:
        """Names of the folders in each folder."""
        found: dict[str, list[str]] = {}
        for path in self.folders:
            if path:
                parent, _, name = path.rpartition("/")
                found.setdefault(parent, []).append(name)
        return found

    def find(self, path: str) -> Entry | None:
        """Return the place of a file; None if there is no such file."""
        parent, _, name = path.rpartition("/")
        if (folder := self.folders.get(parent)) is None:
            return None
        query = "SELECT shard, offset, size, crc FROM files WHERE folder = ? AND name = ?"
        return next((Entry(*row) for row in self._rows(query, (folder, name))), None)

    def files(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted, without those in its subfolders."""
        query = "SELECT name FROM files WHERE folder = ? ORDER BY name"
        return [name for (name,) in self._rows(query, (self.folders.get(folder, -1),))]

    def places(self, folder: str) -> list[tuple[str, int | None, int]]:
        """Return the names of the files in a folder with their shards and offsets."""
        query = "SELECT name, shard, offset FROM files WHERE folder = ?"
        return self._rows(query, (self.folders.get(folder, -1),))

    def inner_folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        return sorted(self._inner.get(folder, ()))

    def walk(self, folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Walk like `os.walk`: the path of each folder, the names of its folders, the names of its files."""
        inner = self.inner_folders(folder)
        yield folder, inner, self.files(folder)
        for name in inner:
            yield from self.walk(f"{folder}/{name}" if folder else name)

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple]:
        try:
            return self._connection().execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path}: the index cannot be read ({error}): "
                "download or copy it again, or pack into a new folder."
            ) from error

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's and process's connection: a connection must not cross a fork."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.base = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", uri=True
            )
            self._local.pid = os.getpid()
        return self._local.base

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
