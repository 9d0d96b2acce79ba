"""Read PNG files without filters, as `synth` writes them: libdeflate inflates them several times as fast as OpenCV."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import deflate
import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, color type, compression, filter, interlace
_CHANNELS = {0: 1, 2: 3, 6: 4}  # channels by color type
_LOOKED_AT = 8  # rows that are tested before all are inflated
_PASSED_OVER = frozenset(
    (b"PLTE", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf")
)  # chunks that do not change numbers
_MOST_PIXELS = 1 << 30  # OpenCV refuses more


def read_unfiltered(data: bytes) -> npt.NDArray[Any] | None:
    """Return the numbers (H, W) or (H, W, C) of a png of 8 or 16 bits, in the file's order: gray, RGB or RGBA.

    Returns:
        uint8 or uint16; None for any other file than a complete, plain png whose rows are stored without filter:
        another reader reads these, and reports errors.
    """
    try:
        chunks = list(_chunks(data))
    except (struct.error, ValueError):
        return None
    if len(chunks) < 3 or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND":
        return None
    if len(chunks[0][1]) != _HEADER.size:
        return None
    width, height, bits, color, *methods = _HEADER.unpack(chunks[0][1])
    channels = _CHANNELS.get(color, 0)
    if not channels or bits not in (8, 16) or any(methods) or not 0 < width * height <= _MOST_PIXELS:
        return None
    if {name for name, _ in chunks[1:-1]} - {b"IDAT"} - _PASSED_OVER:
        return None
    row = width * channels * bits // 8
    packed = b"".join(body for name, body in chunks if name == b"IDAT")
    try:
        first = zlib.decompressobj().decompress(packed, min(_LOOKED_AT, height) * (row + 1))
        if any(first[:: row + 1]):  # the first byte of each row is its filter
            return None
        stored = np.frombuffer(deflate.zlib_decompress(packed, height * (row + 1)), np.uint8)
    except (deflate.DeflateError, zlib.error, ValueError, MemoryError):
        return None
    if stored.size != height * (row + 1):
        return None
    rows = stored.reshape(height, row + 1)
    if rows[:, 0].any():
        return None
    values = rows[:, 1:].copy() if bits == 8 else rows[:, 1:].view(">u2").astype(np.uint16)
    return values.reshape((height, width, channels) if channels > 1 else (height, width))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and contents of chunks.

    Raises:
        ValueError: the file is no png, cut short, or a checksum differs.
    """
    if not data.startswith(_SIGNATURE):
        raise ValueError("no png")
    place, name = len(_SIGNATURE), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if deflate.crc32(memoryview(data)[place + 4 : end]) != checksum:
            raise ValueError("a checksum differs")
        yield name, data[place + 8 : end]
        place = end + 4
