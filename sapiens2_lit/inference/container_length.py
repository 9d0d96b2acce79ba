"""Read the length of a video file from the sizes in its container: a shorter file was cut off.

Formats: ISO/IEC 14496-12 (mp4, mov), RFC 8794 and RFC 9559 (Matroska, WebM), Microsoft's RIFF (avi).
"""

from pathlib import Path
from typing import BinaryIO

_BOXES = {
    "ftyp", "moov", "mdat", "free", "skip", "wide", "moof", "mfra", "uuid", "pnot", "udta", "meta", "sidx", "styp",
    "junk", "emsg", "PICT",
}  # fmt: skip
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(file: Path) -> int:
    """Return how many bytes a video file lacks at its end; 0 if none, or if its container does not tell.

    Raises:
        OSError: The file cannot be read.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(12)
        opened.seek(0)
        if start[:4] == _EBML:
            expected = _matroska(opened)
        elif start[:4] == b"RIFF":
            expected = _riff(opened, size)
        elif start[4:8].decode("latin-1") in _BOXES:
            expected = _boxes(opened, size)
        else:
            return 0
    return max(0, expected - size)


def _boxes(file: BinaryIO, size: int) -> int:
    """Return where the last box ends; an unknown kind of box ends the search."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        if head[4:8].decode("latin-1") not in _BOXES:
            return end if len(head) >= 8 else end + 8
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # to the end of the file
            return size
        end += length
    return end


def _riff(file: BinaryIO, size: int) -> int:
    """Return where the last RIFF chunk ends: large avi files have several."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:
            break
        end += 8 + int.from_bytes(head[4:], "little")
    return end


def _matroska(file: BinaryIO) -> int:
    """Return where the segment ends; 0 if its length is unknown, as in live recordings."""
    file.seek(4)
    header = _number(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length = _number(file)
    return 0 if length is None else file.tell() + length


def _number(file: BinaryIO) -> int | None:
    """Return the length of an element; None if it is unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    bits = 7 * width
    value = int.from_bytes(first + rest, "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
