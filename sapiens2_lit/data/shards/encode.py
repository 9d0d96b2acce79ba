"""Encode labels for fast loading, without any change of numbers.

Png files are stored without filters, so that `read_unfiltered` can inflate them by libdeflate. Uncompressed npz files
of numpy are deflated, so that fewer bytes are fetched.
"""

import io
import struct
import zipfile
from typing import Literal

import cv2
import numpy as np

from sapiens2_lit.data.readers.png import read_unfiltered
from sapiens2_lit.synthetic.dataset.layout import npz, png

Encode = Literal["fast", "keep"]

MOST_GROWTH = (
    1.25  # of a png: photographs without filters are twice as large, and slower to fetch than to decode
)
LEAST_GAIN = 0.5  # of an npz
_PNG = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3}  # by color type
_CHANGES_VALUES = (b"tRNS", b"gAMA", b"iCCP", b"sRGB", b"cHRM", b"sBIT", b"acTL")  # readers may apply them

_UNREADABLE = (zipfile.BadZipFile, ValueError, OSError, KeyError, EOFError, SyntaxError, TypeError)


def encode_label(suffix: str, data: bytes) -> bytes:
    """Return the bytes of a label's file, or better ones with the same numbers.

    Args:
        suffix: of the file, in lower case; it stays.
        data: its bytes.
    """
    if suffix == ".png":
        return unfiltered(data) or data
    if suffix == ".npz":
        return deflated(data) or data
    return data


def unfiltered(data: bytes) -> bytes | None:
    """Return a png of gray or RGB with 8 or 16 bits without filters; None to keep it as it is."""
    if not data.startswith(_PNG) or len(data) < 29 or any(name in data[:4096] for name in _CHANGES_VALUES):
        return None
    bits, color, _, _, interlaced = struct.unpack_from(">5B", data, 24)
    if bits not in (8, 16) or color not in _CHANNELS or interlaced or read_unfiltered(data) is not None:
        return None
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != (np.uint8, np.uint16)[bits == 16]:
        return None
    channels = 1 if values.ndim == 2 else values.shape[2]
    if channels != _CHANNELS[color]:
        return None
    if channels > 1:
        values = cv2.cvtColor(values, cv2.COLOR_BGR2RGB)
    made = png(values.astype(np.uint16, copy=False) if bits == 16 else values.astype(np.uint8, copy=False))
    same = read_unfiltered(made)
    if len(made) > MOST_GROWTH * len(data) or same is None or not np.array_equal(same, values):
        return None
    return made


def deflated(data: bytes) -> bytes | None:
    """Return an npz of one uncompressed array in the fastest compression; None to keep it as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) != 1 or entries[0].compress_type != zipfile.ZIP_STORED:
                return None
            name = entries[0].filename
            stored = archive.read(entries[0])
        if not name.endswith(".npy"):
            return None
        values = np.lib.format.read_array(io.BytesIO(stored), allow_pickle=False)
    except _UNREADABLE:  # its reader reports it
        return None
    made = npz(name.removesuffix(".npy"), values)
    if len(made) > LEAST_GAIN * len(data):
        return None
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        again = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    return made if again.dtype == values.dtype and again.tobytes() == values.tobytes() else None
