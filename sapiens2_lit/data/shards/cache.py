"""Data fetched from a server, kept in blocks on this machine's disk, up to a number of bytes.

It keeps blocks, not shards. So the first sample of a shard need not wait for the whole shard, and reading samples in
another order fetches few unneeded bytes. Processes share a cache; the least recently used blocks are removed first.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from uuid import uuid4
from zlib import crc32

from filelock import FileLock

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.errors import SettingError

BLOCK = 1 << 20  # bytes
KEPT = 0.9  # share of the limit that is kept when old blocks are removed
_LOCKS = 64  # locks that fetched blocks share
_FRESH = 60.0  # seconds in which a use is not noted again
_AN_HOUR = 3600.0  # seconds after which an unfinished block was left by a killed process
_ADVICE = (
    "Choose another folder by data.shards.cache or SAPIENS2_LIT_CACHE, or a smaller data.shards.cache_size."
)
_PART = ".part"  # suffix of blocks that are being written

Fetch = Callable[[str, int, int, int], bytes]  # name, size of the file, first byte, end


class BlockCache:
    """Bytes of files that `fetch` returns, kept under `folder`/`pack`.

    Args:
        folder: of all packs.
        pack: name of this pack; other content has another name.
        limit: largest number of bytes of all packs.
        fetch: returns bytes of a file.
    """

    def __init__(self, folder: Path, pack: str, limit: int, fetch: Fetch) -> None:
        self.folder = folder
        self.own = folder / pack
        self.limit = limit
        self.fetch = fetch

    def expect_room(self, largest: int, place: str) -> None:
        """Check that a shard fits into the cache.

        Raises:
            SettingError: the largest shard does not fit.
        """
        if largest > self.limit:
            raise SettingError(
                f"data.shards.cache_size is {self.limit:,} bytes, the largest shard of {place} has {largest:,}: each "
                "sample would be fetched again and again; expected room for a window of shards (data.shards.window)."
            )

    def read(self, name: str, total: int, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of a file of `total` bytes; `fetch` may raise its errors.

        Raises:
            SettingError: the cache is not writable.
        """
        blocks = range(start // BLOCK, -(-end // BLOCK))
        found = {block: self._load(name, block, total) for block in blocks}
        for run in _runs([block for block in blocks if found[block] is None]):
            found.update(self._fetched(name, run, total))
        data = b"".join(found[block] or b"" for block in blocks)
        return data[start - blocks.start * BLOCK : end - blocks.start * BLOCK]

    def forget(self, name: str, start: int, end: int) -> None:
        """Remove blocks whose content is not as expected."""
        for block in range(start // BLOCK, -(-end // BLOCK)):
            self._path(name, block).unlink(missing_ok=True)

    def _fetched(self, name: str, run: range, total: int) -> dict[int, bytes]:
        """Fetch consecutive blocks; if several processes want the same ones, one of them fetches."""
        locks = self.folder / ".locks"
        with unwritable_is_error(self.own, _ADVICE):
            locks.mkdir(parents=True, exist_ok=True)
        stripe = crc32(f"{self.own.name}/{name}/{run.start}".encode()) % _LOCKS
        with FileLock(locks / f"{stripe}.lock"):
            there = {block: self._load(name, block, total) for block in run}
            if all(data is not None for data in there.values()):
                return {block: data for block, data in there.items() if data is not None}
            first = run.start * BLOCK
            data = self.fetch(name, total, first, min(total, run.stop * BLOCK))
            parts = {block: data[block * BLOCK - first :][:BLOCK] for block in run}
        self._store(name, parts)
        return parts

    def _path(self, name: str, block: int) -> Path:
        return self.own / name / f"{block:07d}"

    def _load(self, name: str, block: int, total: int) -> bytes | None:
        """Return a block, None if it is missing or incomplete."""
        path = self._path(name, block)
        try:
            with path.open("rb", buffering=0) as file:
                stat = os.fstat(file.fileno())
                data = file.read(BLOCK + 1)
        except OSError:
            return None
        if len(data) != min(BLOCK, total - block * BLOCK):
            return None
        if time.time() - stat.st_mtime > _FRESH:
            with suppress(OSError):
                os.utime(path)
        return data

    def _store(self, name: str, parts: dict[int, bytes]) -> None:
        with unwritable_is_error(self.own, _ADVICE):
            self._make_room(sum(map(len, parts.values())))
            for block, data in parts.items():
                with whole_file(self._path(name, block), mark=uuid4().hex + _PART) as temporary:
                    temporary.write_bytes(data)

    def _make_room(self, needed: int) -> None:
        """Register bytes that are about to be written; over the limit, remove the least recently used blocks."""
        count = self.folder / "bytes"
        with FileLock(self.folder / ".locks" / "bytes.lock"):
            try:
                used = int(count.read_text())
            except (OSError, ValueError):  # new, or cut short by a killed process
                used = self.limit
            used += needed
            if used > self.limit:
                used = remove_oldest(self.folder, max(0, int(self.limit * KEPT) - needed)) + needed
            count.write_text(str(used))


def remove_oldest(folder: Path, most: int) -> int:
    """Remove the least recently used blocks until at most `most` bytes are left; return the bytes that are left."""
    blocks, now = [], time.time()
    for path in _files(folder):
        with suppress(OSError):
            stat = path.stat()
            if path.name.endswith(_PART):
                if now - stat.st_mtime > _AN_HOUR:
                    path.unlink()
            else:
                blocks.append((stat.st_mtime, stat.st_size, path))
    left = sum(size for _, size, _ in blocks)
    for _, size, path in sorted(blocks):
        if left <= most:
            break
        with suppress(OSError):
            path.unlink()
        left -= size
    return left


def _files(folder: Path) -> Iterator[Path]:
    """Yield the blocks of all packs: each lies in a folder named after its file."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.isdecimal() or name.endswith(_PART):
                yield Path(parent, name)


def _runs(blocks: list[int]) -> list[range]:
    """Group consecutive numbers."""
    found = []
    for _, group in groupby(enumerate(blocks), key=lambda one: one[1] - one[0]):
        members = [block for _, block in group]
        found.append(range(members[0], members[-1] + 1))
    return found
