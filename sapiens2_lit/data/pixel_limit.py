"""The largest photograph that is decoded: a file of a few kilobytes may claim gigabytes of pixels."""

import io
import os
import re
import struct
import warnings

from PIL import Image, UnidentifiedImageError

from sapiens2_lit.errors import DataError, SettingError

MAX_PIXELS = 200_000_000  # 600 MB as RGB; the largest cameras have 150 million
VARIABLE = "SAPIENS2_LIT_MAX_PIXELS"


def max_pixels() -> int:
    """Return the largest number of pixels of a photograph: the variable SAPIENS2_LIT_MAX_PIXELS, else 200 million.

    Raises:
        SettingError: the variable is not a number above 0.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise SettingError(f"{VARIABLE}: found {text!r}, expected a number of pixels above 0")
    return int(text)


def set_max_pixels(number: int | None) -> None:
    """Set the limit for this process and its child processes; None leaves it unchanged.

    Raises:
        SettingError: it is not above 0.
    """
    if number is None:
        return
    if number < 1:
        raise SettingError(f"--max_pixels: found {number}, expected 1 or more")
    os.environ[VARIABLE] = str(number)


def check_pixels(data: bytes, name: str) -> None:
    """Check the size in an image's header before any pixel is decoded.

    Args:
        data: the image file; an unknown header is accepted, because decoding will report it.
        name: of the file, for the message.

    Raises:
        DataError: the image is too large; it names the file, its size and the limit.
    """
    limit = max_pixels()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # this module sets the limit
            with Image.open(io.BytesIO(data)) as image:  # reads only the header
                width, height = image.size
    except Image.DecompressionBombError as error:
        # Pillow reports images from 179 million pixels on, with their product only
        pixels = int(re.search(r"\((\d+) pixels\)", str(error))[1])  # type: ignore[index]  # it has it
        size = f"{pixels:,} pixels"
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error):
        return
    else:
        pixels, size = width * height, f"{width} x {height} = {width * height:,} pixels"
    if pixels > limit:
        raise DataError(
            f"{name}: the image has {size}, expected {limit:,} at most. If that is right, set "
            f"{VARIABLE}={pixels} in the environment."
        )
