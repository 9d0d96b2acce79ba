"""PNG files without filters, as `synth` writes them: inflated by libdeflate, several times as fast as by OpenCV."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import deflate
import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, color type, compression, filter, interlace
_CHANNELS = {0: 1, 2: 3, 6: 4}  # by color type
_LOOKED_AT = 8  # rows, before all are inflated
_PASSED_OVER = frozenset(
    (b"PLTE", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf")
)  # say nothing of numbers
_MOST_PIXELS = 1 << 30  # beyond which OpenCV refuses


def read_unfiltered(data: bytes) -> npt.NDArray[Any] | None:
    """Return the numbers (h, w) or (h, w, C) of a png of 8 or 16 bits, in the file's order: gray, RGB or RGBA.

    Returns:
        uint8 or uint16; None for all that is not a whole, plain png whose rows are stored as they are: whatever reads
        the others reads it, and says what is wrong.
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
        if any(first[:: row + 1]):  # the first byte of each row says how it is filtered
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
    """Names and contents; raises ValueError where the file is no png, cut short, or a checksum is another."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("no png")
    place, name = len(_SIGNATURE), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if deflate.crc32(memoryview(data)[place + 4 : end]) != checksum:
            raise ValueError("a checksum is another")
        yield name, data[place + 8 : end]
        place = end + 4
