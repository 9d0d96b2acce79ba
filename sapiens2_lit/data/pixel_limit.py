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
    """Return the most pixels of a photograph: the variable SAPIENS2_LIT_MAX_PIXELS, else 200 million.

    Raises:
        SettingError: the variable is no number above 0.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise SettingError(f"{VARIABLE}: found {text!r}, expected a number of pixels above 0")
    return int(text)


def set_max_pixels(number: int | None) -> None:
    """Set the limit for this process and those that it starts; None leaves it.

    Raises:
        SettingError: it is not above 0.
    """
    if number is None:
        return
    if number < 1:
        raise SettingError(f"--max_pixels: found {number}, expected 1 or more")
    os.environ[VARIABLE] = str(number)


def check_pixels(data: bytes, name: str) -> None:
    """Check the size that an image's header claims, before anything of it is decoded.

    Args:
        data: the image file; where its header is not understood nothing is said, decoding will tell.
        name: of the file, for the message.

    Raises:
        DataError: naming the file, its size and the limit.
    """
    limit = max_pixels()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is ours
            with Image.open(io.BytesIO(data)) as image:  # reads the header alone
                width, height = image.size
    except Image.DecompressionBombError as error:
        # Pillow counts for itself from 179 million on, and tells the product alone
        pixels = int(re.search(r"\((\d+) pixels\)", str(error))[1])  # type: ignore[index]  # it has it
        size = f"{pixels:,} pixels"
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error):
        return
    else:
        pixels, size = width * height, f"{width} x {height} = {width * height:,} pixels"
    if pixels > limit:
        raise DataError(
            f"{name}: the image has {size}, expected {limit:,} at most. Where that is right, set "
            f"{VARIABLE}={pixels} in the environment."
        )
