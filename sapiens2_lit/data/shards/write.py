"""One shard of a pack: its files read and encoded ahead, the tar file, and the record that says that it is whole."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import IO, Any

import deflate

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.data.shards.encode import Encode, encode_label
from sapiens2_lit.data.shards.index import Entry
from sapiens2_lit.data.shards.paths import UNFINISHED
from sapiens2_lit.data.shards.plan import BLOCK, Member, SourceFile
from sapiens2_lit.errors import DataError

_AHEAD = 4  # files a thread that are read and encoded before their turn
_PART = 1 << 24  # bytes of a file that are looked at together

Record = dict[str, Any]  # of a shard: size, sha256, and of its files name, offset, size, CRC
Progress = Callable[[int], object]  # told of files that are done


def shard_name(number: int) -> str:
    return f"shard-{number:06d}.tar"


def record_file(out: Path, number: int) -> Path:
    """Return what says that a shard is whole, and where its files lie."""
    return out / UNFINISHED / f"{shard_name(number)}.json"


def read_record(out: Path, number: int) -> Record | None:
    """Return the record of a shard that is there, whole, as its hash says; None for one to be written."""
    try:
        record = json.loads(record_file(out, number).read_bytes())
        path = out / shard_name(number)
        whole = path.stat().st_size == record["size"] and sha256_of(path) == record["sha256"]
        return record if whole else None
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def write_shard(source: Path, out: Path, number: int, samples: Sequence[Sequence[Member]], encode: Encode,
                pool: Executor, workers: int, progress: Progress) -> Record:  # fmt: skip
    """Write a shard, then its record."""
    members = [member for sample in samples for member in sample]
    path = out / shard_name(number)
    with unwritable_is_error(path), whole_file(path, durable=True) as temporary, temporary.open("wb") as file:
        tar = TarWriter(file)
        files = []
        for member, data in zip(
            members, read_ahead(source, members, encode, pool, workers * _AHEAD), strict=True
        ):
            interrupts.check()
            files.append((member.file.name, tar.add(member.name, data), len(data), deflate.crc32(data)))
            progress(1)
        tar.close()
    record = {"size": tar.size, "sha256": tar.sha256.hexdigest(), "files": files}
    place = record_file(out, number)
    with unwritable_is_error(place), whole_file(place, durable=True) as temporary:
        temporary.write_text(json.dumps(record))
    return record


def read_ahead(
    source: Path, members: Sequence[Member], encode: Encode, pool: Executor, ahead: int
) -> Iterator[bytes]:
    """Yield the bytes of files in order, some of them read and encoded beforehand."""
    for start in range(0, len(members), ahead):
        yield from pool.map(
            lambda member: read_member(source, member, encode), members[start : start + ahead]
        )


def read_member(source: Path, member: Member, encode: Encode) -> bytes:
    data = read_source(source, member.file)
    return encode_label(member.file.suffix, data) if encode == "fast" and member.is_label else data


def read_source(source: Path, file: SourceFile) -> bytes:
    """Return the bytes of a file.

    Raises:
        DataError: it cannot be read, or has changed since the plan was made.
    """
    path = source / file.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if len(data) != file.size:
        raise DataError(
            f"{path}: had {file.size:,} bytes when packing began, now {len(data):,}: nothing may write into a folder "
            "that is packed; pack again into a new folder."
        )
    return data


def copy_beside(source: Path, out: Path, file: SourceFile) -> Entry:
    """Copy a file beside the shards."""
    path = out / file.name
    with unwritable_is_error(path), whole_file(path) as temporary:
        shutil.copyfile(source / file.name, temporary)
        crc, size = 0, 0
        with temporary.open("rb") as copied:
            while part := copied.read(_PART):
                crc, size = deflate.crc32(part, crc), size + len(part)
    return Entry(None, 0, size, crc)


class TarWriter:
    """A tar file of plain files, the same bytes for the same files: no times, no owners.

    Attributes:
        size: bytes so far.
        sha256: of these.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def add(self, name: str, data: bytes) -> int:
        """Write a file; returns the offset of its first byte."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        start = self.size
        self._write(data)
        self._write(b"\0" * (-len(data) % BLOCK))
        return start

    def close(self) -> None:
        self._write(b"\0" * (2 * BLOCK))

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.sha256.update(data)
        self.size += len(data)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
