"""Check the files of a checkpoint folder: that all exist, and that their tensors are what was written.

Each tensor, or each rank's part of one, is a separate PyTorch archive with checksums inside a rank's file.
"""

import logging
import zlib
from pathlib import Path
from typing import Any

from sapiens2_lit.archives.verify import is_wanted, mapped, verify_archive
from sapiens2_lit.errors import DamagedError, WeightsError
from sapiens2_lit.parallel.metadata import INDEX_FILE, read_index

_log = logging.getLogger(__name__)
_verified: set[tuple[str, int, int]] = set()


def check_parts(folder: Path) -> None:
    """Check that every file that the index names exists, and is long enough.

    Raises:
        WeightsError: A file is missing or truncated; the message names it.
    """
    ends: dict[str, int] = {}
    for _, place in places(folder):
        ends[place.relative_path] = max(ends.get(place.relative_path, 0), place.offset + place.length)
    for name, end in sorted(ends.items()):
        file = folder / name
        if Path(name).name != name:
            raise WeightsError(f"{folder / INDEX_FILE}: it names {name}, expected a file in the same folder.")
        if not file.is_file():
            odd = sorted(one.name for one in folder.glob("*.distcp") if one.name not in ends)
            renamed = (
                f"; {', '.join(odd)} is there, which the index does not name: was it renamed?" if odd else ""
            )
            raise WeightsError(f"{folder}: {name} is missing: the checkpoint is not complete{renamed}")
        if (size := file.stat().st_size) < end:
            raise WeightsError(f"{file}: found {size} bytes, expected {end}: it is truncated.")


def verify_parts(folder: Path, rank: int = 0, ranks: int = 1) -> None:
    """Compare tensors with their checksums, once in each process; with several ranks, each verifies its share.

    Args:
        folder: The folder.
        rank: This rank.
        ranks: Number of ranks.

    Raises:
        DamagedError: A checksum does not match; the message names the file and the tensor.
    """
    index = (folder / INDEX_FILE).stat()
    key = (f"{folder.resolve()} {rank} {ranks}", index.st_mtime_ns, index.st_size)
    if not is_wanted() or key in _verified:
        return
    files: dict[str, memoryview] = {}
    unknown = 0
    for tensor, place in places(folder)[rank::ranks]:
        file = folder / place.relative_path
        if place.relative_path not in files:
            files[place.relative_path] = mapped(file)
        part = files[place.relative_path][place.offset : place.offset + place.length]
        if bytes(part[:2]) == b"PK":
            verify_one(part, file, tensor)
        elif getattr(place, "transform_descriptors", None):
            unknown += 1
        else:
            raise DamagedError(f"{file}: {tensor}")
    if unknown:
        _log.info("%s: %d tensors not verified, they hold no checksums.", folder, unknown)
    _verified.add(key)


def verify_one(part: memoryview, file: Path, tensor: str) -> None:
    """Compare one stored tensor with its checksums.

    Args:
        part: Its archive.
        file: The file that it lies in.
        tensor: Its name, for the error.

    Raises:
        DamagedError: A checksum does not match.
    """
    try:
        verify_archive(part, str(file))
    except DamagedError as error:
        raise DamagedError(f"{file}: {tensor}") from error


def places(folder: Path) -> list[tuple[str, Any]]:
    """Return each stored tensor, or part of one, by name without `model.`, with its file, offset and length.

    Raises:
        DamagedError: The index holds something else.
    """
    stored = read_index(folder).storage_data or {}
    for place in stored.values():
        expected = {"relative_path": str, "offset": int, "length": int}
        if not all(isinstance(getattr(place, name, None), kind) for name, kind in expected.items()):
            raise DamagedError(f"{folder / INDEX_FILE}")
    return [(index.fqn.removeprefix("model."), place) for index, place in stored.items()]


def index_crc(folder: Path) -> int:
    """Return the CRC-32 of the index."""
    return zlib.crc32((folder / INDEX_FILE).read_bytes())
