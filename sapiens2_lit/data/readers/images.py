"""Photographs from disk as RGB, whatever their kind."""

from glob import glob, has_magic
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.pixel_limit import check_pixels
from sapiens2_lit.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = 0xDA


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read a photograph as RGB uint8 (H, W, 3), turned upright as its EXIF orientation says.

    Grey, palette, CMYK and 16-bit images are converted; an alpha channel is dropped, not composited.

    Raises:
        DataError: naming the file, if it is missing, empty, truncated or not an image, or has more pixels than
            `sapiens2_lit.data.pixel_limit` allows.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: the image does not exist.") from None
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read: {error.strerror or error}.") from error
    if not data:
        raise DataError(f"{path}: the image is empty (0 bytes); fetch it again.")
    if data.startswith(_JPEG_START) and _jpeg_is_truncated(data):
        # libjpeg would fill what is missing with grey
        raise DataError(f"{path}: the JPEG is truncated after {len(data)} bytes; fetch it again.")
    check_pixels(data, str(path))
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise DataError(f"{path}: the image cannot be decoded: {error}") from error
    if image is None:
        raise DataError(
            f"{path}: {len(data)} bytes that cannot be decoded as an image: truncated or not an image "
            f"(expected one of {', '.join(IMAGE_SUFFIXES)})."
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def find_images(place: Path) -> list[Path]:
    """The image, those of a folder (and folders in it), or those that match a glob; sorted."""
    if place.is_dir():
        found = list(place.rglob("*"))
    elif has_magic(str(place)):
        found = [Path(name) for name in glob(str(place), recursive=True)]  # noqa: PTH207 - absolute patterns
    else:
        found = [place]
    return sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _jpeg_is_truncated(data: bytes) -> bool:
    """Whether no end marker follows the start of the first scan.

    Inside a scan it cannot occur; behind it phones append videos, whose bytes may be anything.
    """
    place = len(_JPEG_START)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _JPEG_SCAN:
            return data.find(_JPEG_END, place) < 0
        if marker == 0xFF:  # padding
            place += 1
        else:  # a segment: two bytes of marker, then its length, which counts its own two bytes
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return True
