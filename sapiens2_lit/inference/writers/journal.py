"""Keep a line for each picture, from which the whole run's file is made at its end, and from which runs resume."""

import json
import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file


class Journal:
    """Lines of JSON, one for each picture, each with its `name`.

    Attributes:
        num: Number of lines.

    Args:
        path: Of the whole run's journal.
        shard: Name of the part of the run that writes it, in a separate file until `merge`; None for the whole run.
    """

    def __init__(self, path: Path, shard: str | None = None) -> None:
        self.whole = path
        self.path = path if shard is None else part_of(path, shard)
        self.num = 0
        self._file: TextIO | None = None
        self._done: npt.NDArray[np.uint64] = np.empty(0, np.uint64)

    def open(self, resume: bool) -> None:
        """Begin the journal, or continue it without an incomplete last line."""
        with unwritable_is_error(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if resume:
                there = [path for path in dict.fromkeys((self.whole, self.path)) if path.is_file()]
                for path in there:
                    _cut_half_line(path)
                names = [_key(entry["name"]) for path in there for entry in read_lines(path)]
                self._done = np.unique(np.array(names, np.uint64))
                self.num = len(self._done)
            self._file = self.path.open("a" if resume else "w", encoding="utf-8")

    def has(self, name: str) -> bool:
        """Return whether a picture was in it at `open`."""
        place = np.searchsorted(self._done, _key(name))
        return bool(place < len(self._done) and self._done[place] == _key(name))

    def add(self, entry: dict[str, Any]) -> None:
        """Append a picture's line."""
        assert self._file is not None
        self.num += 1
        with unwritable_is_error(self.path):
            self._file.write(json.dumps(entry, allow_nan=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return read_lines(self.path)


def part_of(path: Path, shard: str) -> Path:
    """Return the path of a shard's journal."""
    return path.with_name(f"{path.stem}.{shard}{path.suffix}")


def merge(path: Path, shards: Sequence[str], place: dict[str, int], numbered: bool) -> None:
    """Merge the journals of all shards in the order of a run without shards, and remove them.

    Args:
        path: Of the whole run's journal; its lines are kept if it exists.
        shards: Their names.
        place: Index of each photograph or video in the run.
        numbered: Whether lines have a running `id`.
    """
    parts = [file for file in (path, *(part_of(path, shard) for shard in shards)) if file.is_file()]
    found: dict[str, tuple[tuple[int, str], int, int]] = {}
    for index, part in enumerate(parts):
        with part.open("rb") as file:
            start = 0
            for line in file:
                name = json.loads(line)["name"]
                found[name] = (_order(name, place), index, start)
                start += len(line)
    files = [part.open("rb") for part in parts]
    try:
        with unwritable_is_error(path), whole_file(path) as temporary, temporary.open("w") as whole:
            for number, (_, index, start) in enumerate(sorted(found.values()), start=1):
                files[index].seek(start)
                entry = json.loads(files[index].readline())
                if numbered:
                    entry["id"] = number
                whole.write(json.dumps(entry, allow_nan=False) + "\n")
    finally:
        for file in files:
            file.close()
    for shard in shards:
        part_of(path, shard).unlink(missing_ok=True)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _order(name: str, place: dict[str, int]) -> tuple[int, str]:
    """Return a sort key: photographs and videos in their order, frames of a video by their number."""
    if name in place:
        return place[name], ""
    return place.get(name.rpartition("/")[0], len(place)), name.rpartition("/")[2].zfill(20)


def _cut_half_line(path: Path) -> None:
    """Remove an incomplete last line, which a killed run may leave."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            file.seek(end - 1)
            if file.read(1) == b"\n":
                break
            end -= 1
        file.truncate(end)


def _key(name: str) -> np.uint64:
    """Return eight bytes for a name: a million of them take 8 MB."""
    return np.uint64(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big"))
