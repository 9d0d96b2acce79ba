"""Masks whose colors are the classes."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import IGNORED, Classes

_SHOWN = 5  # unknown colors in a message
_COLORED = ("RGB", "RGBA")


def read_colors(path: Path, classes: Classes) -> npt.NDArray[np.uint8] | None:
    """Return the 2-D classes (h, w) of a color image, IGNORED for ignored pixels; None if it has one channel.

    Args:
        path: the mask.
        classes: with `mask_colors`; palettes are read by color if `by_color` is set.

    Raises:
        DataError: there are colors without a class; it tells how many, how often, and the nearest known ones.
    """
    if not classes.mask_colors:
        return None
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            if image.mode not in _COLORED and not (image.mode == "P" and classes.by_color):
                return None
            values = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # which the reader of indices reports
    codes, indices = _table(classes.mask_colors)
    found = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
    places = np.minimum(np.searchsorted(codes, found), len(codes) - 1)
    unknown = codes[places] != found
    if unknown.any():
        raise DataError(f"{path}: {_say_unknown(found[unknown], found.size, classes)}")
    return indices[places]


def _table(colors: Mapping[tuple[int, int, int], int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return colors as sorted numbers, and the class of each."""
    pairs = sorted((red << 16 | green << 8 | blue, index) for (red, green, blue), index in colors.items())
    return np.array([code for code, _ in pairs], dtype=np.int32), np.array(
        [i for _, i in pairs], dtype=np.uint8
    )


def _say_unknown(unknown: npt.NDArray[np.int32], total: int, classes: Classes) -> str:
    codes, counts = np.unique(unknown, return_counts=True)
    known = np.array(list(classes.mask_colors), dtype=np.int64)
    indices = list(classes.mask_colors.values())
    shown = []
    for place in np.argsort(-counts)[:_SHOWN].tolist():
        code = int(codes[place])
        color = (code >> 16, code >> 8 & 255, code & 255)
        near = int(np.abs(known - color).sum(axis=1).argmin())
        index = indices[near]
        name = "ignored" if index == IGNORED else f"'{classes.names[index]}'"
        shown.append(f"{color} of {counts[place]} pixels (nearest: {name} {tuple(known[near].tolist())})")
    count = "1 color is" if len(codes) == 1 else f"{len(codes)} colors are"
    rest = f", and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    return (
        f"{count} no class of {classes.name}, {unknown.size / total:.2%} of the pixels: {', '.join(shown)}{rest}. Add "
        "them to the classes file, as the `color` of a class or to `ignore_colors`."
    )
