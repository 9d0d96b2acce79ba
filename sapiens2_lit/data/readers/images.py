"""Read photographs of any kind from disk as RGB."""

import io
from glob import has_magic
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from sapiens2_lit.data.pixel_limit import check_pixels
from sapiens2_lit.data.shards.files import matching
from sapiens2_lit.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = 0xDA
_CMYK = ("CMYK", "YCCK")  # color spaces that OpenCV converts
_ON_THEIR_SIDE = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_MOST_PIXELS = 1 << 30  # OpenCV refuses more
_EXIF, _EXIF_PLACE, _ORIENTATION = b"Exif\0\0", 1 << 16, 0x112
_TURNS = {  # EXIF orientation -> turn from the stored picture to the upright one
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image, 1),
}
# first bytes of formats whose damage OpenCV does not report
_CHECKED_TWICE = (b"BM", b"II*\0", b"MM\0*")


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read a photograph as RGB uint8 (H, W, 3), turned upright by its EXIF orientation.

    Gray, palette, CMYK and 16-bit images are converted; an alpha channel is dropped, not composited.

    Raises:
        DataError: the image is missing, empty, truncated or no image, its decoder warns of damage, or it has more
            pixels than `sapiens2_lit.data.pixel_limit` allows; it names the file.
    """
    path = Path(path) if isinstance(path, str) else path
    return decode(path, read_file(path))


def read_file(path: Path) -> bytes:
    """Return the bytes of a photograph.

    Raises:
        DataError: it is missing, empty or a truncated JPEG.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: the image does not exist.") from None
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read: {error.strerror or error}.") from error
    if not data:
        raise DataError(f"{path}: the image is empty (0 bytes); download or copy it again.")
    if data.startswith(_JPEG_START) and _jpeg_is_truncated(data):
        # libjpeg would fill the missing part with gray
        raise DataError(f"{path}: the JPEG is truncated after {len(data)} bytes; download or copy it again.")
    return data


def decode(path: Path, data: bytes, factor: int = 1) -> npt.NDArray[np.uint8]:
    """Return the pixels of a photograph as `read_image` does, RGB uint8 (H, W, 3), a JPEG at 1 / `factor` of its size.

    With 2, 4 or 8 each pixel is the mean of `factor` x `factor` pixels, or close to it; a side is rounded up. The whole
    file is decoded, so that damage is found as well. Other kinds of pictures have their full size.

    Args:
        path: the file, for messages.
        data: its bytes, from `read_file`.
        factor: 1, 2, 4 or 8.

    Raises:
        DataError: the image is too large, damaged or no image.
    """
    check_pixels(data, str(path))
    if data.startswith(_JPEG_START) and (decoded := _decode_jpeg(path, data, factor)) is not None:
        return decoded
    if data.startswith(_CHECKED_TWICE):
        _check_whole(path, data)
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


def _decode_jpeg(path: Path, data: bytes, factor: int = 1) -> npt.NDArray[np.uint8] | None:
    """Decode a JPEG by libjpeg-turbo, as OpenCV does, but with its warnings as errors; None if it cannot convert it.

    Raises:
        DataError: the decoder warns: part of the result would be a wrong picture.
    """
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        if space in _CMYK or height * width > _MOST_PIXELS:
            return None
        least = {} if factor == 1 else {"min_height": -(-height // factor), "min_width": -(-width // factor)}
        image = simplejpeg.decode_jpeg(data, "RGB", strict=True, **least)
    except ValueError as error:
        raise DataError(f"{path}: the JPEG is damaged: {error}; download or copy it again.") from error
    turn = _TURNS.get(_orientation(data))
    return image if turn is None else np.ascontiguousarray(turn(image))


def _orientation(data: bytes) -> int:
    """Return the EXIF orientation of a JPEG, 1 if it has none."""
    if _EXIF not in data[:_EXIF_PLACE]:
        return 1
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError):  # broken EXIF data of a good picture
        return 1


def _check_whole(path: Path, data: bytes) -> None:
    """Check a BMP or TIFF by Pillow.

    Raises:
        DataError: Pillow finds it damaged.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except UnidentifiedImageError:
        return  # a kind that Pillow does not know
    except (OSError, SyntaxError, ValueError) as error:
        text = str(error)
        if "truncated" in text or "decoder error" in text or "broken" in text or "not enough" in text:
            raise DataError(
                f"{path}: the image is truncated or damaged: {text}; download or copy it again."
            ) from error


def upright_size(path: Path, data: bytes | None = None) -> tuple[int, int]:
    """Return (height, width) of a photograph as `read_image` gives it, by its header if that is enough.

    Args:
        path: the file.
        data: its bytes, if they were read already.

    Raises:
        DataError: it cannot be read; it names the file.
    """
    try:
        with path.open("rb") if data is None else io.BytesIO(data) as file, Image.open(file) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in _ON_THEIR_SIDE
            return image.size if turned else image.size[::-1]
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError):
        height, width = decode(path, read_file(path) if data is None else data).shape[:2]
        return height, width


def find_images(place: Path) -> list[Path]:
    """Return the image, those of a folder (and folders in it), or those that match a glob; sorted.

    Hidden files, and files in hidden folders, are not images of a folder or a glob: Macs leave `._0001.png` beside
    `0001.png`.
    """
    if place.is_dir():
        found = [path for path in place.rglob("*") if not is_hidden(path.relative_to(place))]
    elif has_magic(str(place)):
        found = [path for path in matching(place) if not path.name.startswith(".")]
    else:
        found = [place]
    return sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def is_hidden(path: Path) -> bool:
    """Whether a relative path, or a folder in it, begins with a dot."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.parts)


def _jpeg_is_truncated(data: bytes) -> bool:
    """Whether no end marker follows the start of the first scan.

    Inside a scan it cannot occur; after it phones append videos, whose bytes may be anything.
    """
    place = len(_JPEG_START)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _JPEG_SCAN:
            return data.find(_JPEG_END, place) < 0
        if marker == 0xFF:  # padding
            place += 1
        else:  # a segment: two bytes of marker, then its length, which includes its own two bytes
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return True
