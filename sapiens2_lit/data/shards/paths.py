"""Paths into packed folders, so that code that reads a folder's files also reads files in shards.

`open_root` opens a packed folder. Paths made from it by `/` look into the index. Below a local folder, a path that is
not in a shard is the file or folder at that place.
"""

import io
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from errno import EBADF, ELOOP, ENOENT, ENOTDIR, EROFS
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath, WindowsPath
from posixpath import normpath
from typing import IO, Any
from zlib import crc32

from sapiens2_lit.data.shards import index, manifest
from sapiens2_lit.data.shards.index import Entry
from sapiens2_lit.data.shards.packed import Pack
from sapiens2_lit.data.shards.settings import ShardReading

STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs")  # protocols of object storage
UNFINISHED = ".pack"  # folder of an unfinished pack
_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+")

_packs: dict[str, Pack] = {}  # by the posix path of their roots, inner ones before outer ones

if sys.platform == "win32":
    _Base = WindowsPath
else:
    _Base = PosixPath


def is_address(place: str | Path) -> bool:
    """Whether a place is an address such as s3://bucket/people."""
    return _ADDRESS.match(str(place)) is not None


def pack_of(path: Path) -> tuple[Pack, str] | None:
    """Return the packed folder that contains a path, and the path in it; None for other paths."""
    if not isinstance(path, ShardPath):
        return None
    text = path.as_posix()
    if ".." in text:
        text = normpath(text)
    for root, pack in _packs.items():
        if text == root:
            return pack, ""
        if text.startswith(f"{root}/"):
            return pack, text[len(root) + 1 :]
    return None


def any_opened() -> bool:
    """Whether this process has opened a packed folder."""
    return bool(_packs)


def register(pack: Pack, path: "ShardPath") -> "ShardPath":
    """Make paths below `path` lead into a packed folder."""
    global _packs  # a new dict: threads may be reading the old one
    packs = {**_packs, path.as_posix(): pack}
    _packs = {root: packs[root] for root in sorted(packs, key=len, reverse=True)}
    return path


def _restored(root: str, reading: ShardReading, inner: str) -> Path:
    """Return a path in a process that may not have opened its packed folder yet."""
    path = (
        register(Pack(root, reading), ShardPath(root))
        if ShardPath(root).as_posix() not in _packs
        else ShardPath(root)
    )
    return path / inner if inner else path


class ShardPath(_Base):
    """A path below a packed folder."""

    def place(self) -> tuple[Pack, str, Entry | None] | None:
        """Return the pack, the path in it, and the file if it is one in the pack."""
        found = pack_of(self)
        if found is None:
            return None
        pack, inner = found
        return pack, inner, pack.find(inner) if inner else None

    def is_packed(self) -> bool:
        """Whether the file is read from the pack; a local file beside the shards is not."""
        found = self.place()
        return found is not None and (found[2] is not None or found[0].is_remote)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return size and kind of a file or folder, as `Path.stat`.

        Raises:
            FileNotFoundError: there is no such file or folder.
        """
        found = self.place()
        if found is None:
            return super().stat(follow_symlinks=follow_symlinks)
        pack, inner, entry = found
        if entry is not None:
            number, device = (entry.shard or 0) << 40 | entry.offset | 1, crc32(pack.root.encode())
            return _stat(stat.S_IFREG | 0o444, number or crc32(inner.encode()), device, entry.size)
        if inner in pack.index.folders:
            return _stat(stat.S_IFDIR | 0o555, crc32(inner.encode()), crc32(pack.root.encode()), 0)
        if pack.is_remote:
            raise FileNotFoundError(2, os.strerror(2), str(self))
        return super().stat(follow_symlinks=follow_symlinks)

    def exists(self, **_: Any) -> bool:
        """Whether a file or folder of this path exists."""
        return self._mode() is not None

    def is_file(self, **_: Any) -> bool:
        """Whether this path is a file."""
        mode = self._mode()
        return mode is not None and stat.S_ISREG(mode)

    def is_dir(self, **_: Any) -> bool:
        """Whether this path is a folder."""
        mode = self._mode()
        return mode is not None and stat.S_ISDIR(mode)

    def _mode(self) -> int | None:
        if self.__dict__.get("_listed"):
            return stat.S_IFREG
        if "\0" in str(self):
            return None
        try:
            return self.stat().st_mode
        except OSError as error:
            if error.errno not in (ENOENT, ENOTDIR, EBADF, ELOOP):
                raise
            return None

    def open(  # type: ignore[override]  # its overloads
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open a file for reading, as `Path.open`; files on disk may also be written.

        Raises:
            OSError: a file in the pack is opened for writing.
            FileNotFoundError: there is no such file.
        """
        found = self.place()
        if found is None or (found[2] is None and not found[0].is_remote):
            return super().open(mode, buffering, encoding, errors, newline)
        pack, inner, entry = found
        if not set(mode) <= set("rbt"):
            raise OSError(EROFS, "a packed folder is read-only", str(self))
        if entry is None:
            raise FileNotFoundError(2, os.strerror(2), str(self))
        data = io.BytesIO(pack.read(inner, entry))
        return data if "b" in mode else io.TextIOWrapper(data, encoding, errors, newline)

    def names(self) -> list[str]:
        """Return the names of the files and folders in this folder, sorted.

        Raises:
            FileNotFoundError: it does not exist.
        """
        folders, packed, others = self.inside()
        return sorted({*folders, *packed, *others})

    def inside(self) -> tuple[set[str], list[str], set[str]]:
        """Return the names of the folders in this folder, of the files of the pack, and of other files beside them.

        Raises:
            FileNotFoundError: the folder does not exist.
        """
        found = pack_of(self)
        folders: set[str] = set()
        packed: list[str] = []
        others: set[str] = set()
        known = found is not None and found[1] in found[0].index.folders
        if found is not None and known:
            folders, packed = set(found[0].index.inner_folders(found[1])), found[0].index.files(found[1])
        if found is not None and found[0].is_remote:
            if not known:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(self))
            return folders, packed, others
        try:
            with os.scandir(self) as entries:
                for entry in entries:
                    (folders if entry.is_dir() else others).add(entry.name)
        except FileNotFoundError:
            if not known:
                raise
        if found is not None and not found[1]:  # the files that make a folder a packed one
            own = {one.name for one in found[0].manifest.shards} | {manifest.NAME, index.NAME}
            folders, others = folders - {UNFINISHED}, others - own
        return folders, packed, others

    def iterdir(self) -> Iterator["ShardPath"]:  # type: ignore[override]
        """Yield the files and folders in this folder, sorted."""
        return (self / name for name in self.names())

    def rglob(self, pattern: str, **_: Any) -> Iterator["ShardPath"]:  # type: ignore[override]
        """Yield the files and folders below this folder whose names match a pattern."""
        folders, packed, others = self.inside()
        for name in _matching(packed, pattern):
            path = self / name
            vars(path)["_listed"] = True  # saves looking into the index again
            yield path
        for name in _matching(sorted(others.difference(packed)), pattern):
            yield self / name
        for name in sorted(folders):
            if fnmatchcase(name, pattern):
                yield self / name
            yield from (self / name).rglob(pattern)

    def glob(self, pattern: str, **_: Any) -> Iterator["ShardPath"]:  # type: ignore[override]
        """Yield the files and folders that match a pattern, which may contain folders and `**`."""
        first, _slash, rest = pattern.partition("/")
        if first == "**":
            yield from self.rglob(rest or "*")
            return
        for name in self.names() if self.is_dir() else ():
            if fnmatchcase(name, first):
                if rest:
                    yield from (self / name).glob(rest)
                else:
                    yield self / name

    def __str__(self) -> str:
        text = super().__str__()
        return _ADDRESS.sub(r"\1://", text, count=1) if ":/" in text else text

    def __fspath__(self) -> str:
        return str(self)

    def as_posix(self) -> str:
        """Return the path with slashes, without the `//` of an address."""
        return super().__str__().replace("\\", "/")

    def expanduser(self) -> "ShardPath":
        """Return the path itself: a packed folder has no `~`."""
        return self

    def absolute(self) -> "ShardPath":
        """Return the absolute path; an address stays as it is."""
        return self if is_address(self) else super().absolute()

    def resolve(self, strict: bool = False) -> "ShardPath":
        """Return the path without links; an address stays as it is."""
        return self if is_address(self) else super().resolve(strict)

    def mkdir(self, *args: Any, **settings: Any) -> None:
        """Make a folder, as `Path.mkdir`.

        Raises:
            OSError: the path is an address.
        """
        if is_address(self):
            raise OSError(EROFS, "a packed folder is read-only", str(self))
        super().mkdir(*args, **settings)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        found = pack_of(self)
        if found is None:
            return (ShardPath, (str(self),))
        return (_restored, (found[0].root, found[0].reading, found[1]))


def _matching(names: list[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


def _stat(mode: int, number: int, device: int, size: int) -> os.stat_result:
    return os.stat_result((mode, number, device, 1, 0, 0, size, 0, 0, 0), {"st_mtime_ns": 0})
