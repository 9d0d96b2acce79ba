"""Checksums of weights: the CRC-32 of every record in PyTorch's archives, and checksums in this project's safetensors.

Reading a memory-mapped file checks none of them, so a byte that changed on disk would go unnoticed. Values are hashed
in place, without copies.
"""

import io
import json
import logging
import mmap
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.archives.record_names import tensor_of_record
from sapiens2_lit.errors import DamagedError

VARIABLE = "SAPIENS2_LIT_VERIFY"
CHECKSUMS = "sapiens2_lit.crc32"  # key in the header of safetensors
HEADER = ""  # key of the checksum of names, shapes and texts in the header
CHUNK = 2**24  # bytes
# Errors that `zipfile` raises for an archive with changed bytes.
BROKEN_ZIP = (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, EOFError)
_LOCAL = 30  # bytes of the header in front of each record of an archive, without names

_log = logging.getLogger(__name__)
_verified: set[tuple[str, int, int]] = set()
_left_out = False


def set_verification(verify: bool) -> None:
    """Choose whether this process verifies files; the environment variable can still turn verification off."""
    global _left_out
    _left_out = not verify


def is_wanted() -> bool:
    """Return whether files are to be verified; SAPIENS2_LIT_VERIFY=false turns that off."""
    return not _left_out and os.environ.get(VARIABLE, "true").lower() not in ("false", "0", "no")


def verify_file(file: Path) -> bool:
    """Compare a file with its checksums, once in each process; return whether it has checksums.

    The log mentions safetensors without checksums. For other files the caller does so, since their kind is not known
    yet.

    Raises:
        DamagedError: A checksum does not match; the message names the file and the tensor.
        OSError: The file cannot be read.
    """
    stat = file.stat()
    key = (str(file.resolve()), stat.st_mtime_ns, stat.st_size)
    if not is_wanted() or key in _verified or not stat.st_size:
        return True
    data = mapped(file)
    if file.suffix == ".safetensors":
        known = verify_safetensors(data, file)
    else:
        known = zipfile.is_zipfile(file) and verify_archive(data, str(file))
    if file.suffix == ".safetensors" and not known:
        tell_unverified(file)
    _verified.add(key)
    return known


def tell_unverified(file: Path) -> None:
    """Log that a file is read without verification."""
    _log.info("%s: not verified, it holds no checksums.", file)


def mapped(file: Path) -> memoryview:
    """Return the bytes of a file, mapped into memory while they are in use."""
    with file.open("rb") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


def verify_archive(data: memoryview, name: str) -> bool:
    """Compare every record of a PyTorch archive with its checksum; return True.

    Args:
        data: The archive.
        name: Name of the file, for messages.

    Raises:
        DamagedError: A checksum does not match; the message names the tensor.
    """
    try:
        with zipfile.ZipFile(_Section(data)) as archive:
            records = archive.infolist()
    except BROKEN_ZIP as error:
        raise DamagedError(f"{name}: the archive's index is broken ({error})") from error
    for record in records:
        values = _values(data, record)
        if values is None or _crc(values) != record.CRC:
            pickled = _record_values("/data.pkl", data, records)
            raise DamagedError(f"{name}: {tensor_of_record(record.filename, pickled)}")
    return True


def _values(data: memoryview, record: zipfile.ZipInfo) -> memoryview | None:
    """Return the bytes of a record, which PyTorch never compresses; None if the header before them is damaged."""
    start = record.header_offset
    local = bytes(data[start : start + _LOCAL])
    if len(local) < _LOCAL or local[:4] != b"PK\3\4" or record.compress_type != zipfile.ZIP_STORED:
        return None
    name, extra = int.from_bytes(local[26:28], "little"), int.from_bytes(local[28:30], "little")
    begin = start + _LOCAL
    if bytes(data[begin : begin + name]) != record.orig_filename.encode():
        return None
    begin += name + extra
    return data[begin : begin + record.file_size]


def _record_values(filename: str, data: memoryview, records: list[zipfile.ZipInfo]) -> bytes:
    """Return the bytes of the record whose name ends with `filename`; empty if there is none."""
    found = next((record for record in records if record.filename.endswith(filename)), None)
    values = None if found is None else _values(data, found)
    return b"" if values is None else bytes(values)


def _crc(values: memoryview) -> int:
    crc = 0
    for start in range(0, len(values), CHUNK):
        crc = zlib.crc32(values[start : start + CHUNK], crc)
    return crc


class _Section(io.RawIOBase):
    """A part of memory as a file."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.place = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: len(self.data)}[whence]
        if start + offset < 0:
            raise ValueError("a position before the beginning")
        self.place = start + offset
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        values = self.data[self.place : self.place + len(buffer)]
        buffer[: len(values)] = values
        self.place += len(values)
        return len(values)


# ------------------------------------------------------------------ safetensors


def checksum(tensor: Tensor) -> str:
    """Hash the values of a contiguous tensor of any shape on the CPU, as eight hexadecimal digits."""
    return f"{_crc(memoryview(values_of(tensor))):08x}"


def values_of(tensor: Tensor) -> Any:
    """Return the bytes of a contiguous tensor of any shape on the CPU, without a copy."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def header_checksum(entries: Mapping[str, Any], metadata: Mapping[str, str]) -> str:
    """Hash what a header says except positions: names, dtypes, shapes and texts."""
    shapes = {name: [entry["dtype"], list(entry["shape"])] for name, entry in entries.items()}
    texts = {name: text for name, text in metadata.items() if name != CHECKSUMS}
    return f"{zlib.crc32(json.dumps([shapes, texts], sort_keys=True).encode()):08x}"


def verify_safetensors(data: memoryview, file: Path) -> bool:
    """Compare every tensor with its checksum in the header; return whether there are checksums.

    Raises:
        DamagedError: A checksum does not match, or the header is broken; the message names the tensor.
    """
    size = int.from_bytes(data[:8], "little")
    try:
        entries = json.loads(bytes(data[8 : 8 + size]))
        metadata = entries.pop("__metadata__", None) or {}
        if CHECKSUMS not in metadata:
            return False
        expected = json.loads(metadata[CHECKSUMS])
        found_header = header_checksum(entries, metadata)
        places = {name: entry["data_offsets"] for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{file}: its header is broken ({error})") from error
    if not isinstance(expected, dict) or expected.get(HEADER) != found_header:
        raise DamagedError(f"{file}: its header")
    for name, (start, stop) in places.items():
        if f"{_crc(data[8 + size + start : 8 + size + stop]):08x}" != expected.get(name):
            raise DamagedError(f"{file}: {name}")
    return True
