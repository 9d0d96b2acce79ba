"""Write one shard of a pack: files read and encoded ahead, the tar file, and the record that it is complete."""

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

_AHEAD = 4  # files per thread that are read and encoded before their turn
_PART = 1 << 24  # bytes of a file that are read together

Record = dict[str, Any]  # of a shard: size, sha256, and for its files name, offset, size, CRC
Progress = Callable[[int], object]  # called with the number of files that are done


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:06d}.tar"


def record_file(out: Path, number: int) -> Path:
    """Return the file that records that a shard is complete, and where its files lie."""
    return out / UNFINISHED / f"{shard_name(number)}.json"


def read_record(out: Path, number: int) -> Record | None:
    """Return the record of a shard that is complete, as its hash confirms; None for a shard to be written."""
    try:
        record = json.loads(record_file(out, number).read_bytes())
        path = out / shard_name(number)
        whole = path.stat().st_size == record["size"] and sha256_of(path) == record["sha256"]
        return record if whole else None
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def write_shard(source: Path, out: Path, number: int, samples: Sequence[Sequence[Member]], encode: Encode,
                pool: Executor, workers: int, progress: Progress) -> Record:  # fmt: skip
    """Write a shard, then its record.

    Args:
        source: the folder to pack.
        out: the packed folder.
        number: of the shard.
        samples: the members of each sample.
        encode: `fast` or `keep`, as in `pack`.
        pool: threads that read and encode.
        workers: number of threads.
        progress: called with the number of files that are done.
    """
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
    """Yield the bytes of files in order, some of them read and encoded beforehand.

    Args:
        source: the folder to pack.
        members: the files.
        encode: `fast` or `keep`, as in `pack`.
        pool: threads that read and encode.
        ahead: number of files that are read at a time.
    """
    for start in range(0, len(members), ahead):
        yield from pool.map(
            lambda member: read_member(source, member, encode), members[start : start + ahead]
        )


def read_member(source: Path, member: Member, encode: Encode) -> bytes:
    """Return the bytes of a file for the shard.

    Args:
        source: the folder to pack.
        member: the file.
        encode: `fast` to encode labels, `keep` for all files as they are.
    """
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
    """Copy a file beside the shards.

    Args:
        source: the folder to pack.
        out: the packed folder.
        file: the file.
    """
    path = out / file.name
    with unwritable_is_error(path), whole_file(path) as temporary:
        shutil.copyfile(source / file.name, temporary)
        crc, size = 0, 0
        with temporary.open("rb") as copied:
            while part := copied.read(_PART):
                crc, size = deflate.crc32(part, crc), size + len(part)
    return Entry(None, 0, size, crc)


class TarWriter:
    """A tar file of plain files, with the same bytes for the same files: no times, no owners.

    Attributes:
        size: bytes so far.
        sha256: of these bytes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def add(self, name: str, data: bytes) -> int:
        """Write a file; return the offset of its first byte."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        start = self.size
        self._write(data)
        self._write(b"\0" * (-len(data) % BLOCK))
        return start

    def close(self) -> None:
        """Write the end of the tar file."""
        self._write(b"\0" * (2 * BLOCK))

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.sha256.update(data)
        self.size += len(data)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
