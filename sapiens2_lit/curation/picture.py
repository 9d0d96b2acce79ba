"""Describe one picture as a row: its file, its EXIF data, damage, quality and hashes."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from sapiens2_lit.curation import quality
from sapiens2_lit.curation.hashes import perceptual_hashes
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.errors import DataError

RGB = npt.NDArray[np.uint8]
COLUMNS = {
    "path": "string", "bytes": "int64", "sha256": "string", "damage": "string", "width": "int64", "height": "int64",
    "short_side": "int64", "exif_orientation": "int64", "exif_make": "string", "exif_model": "string",
    "exif_time": "string", **quality.COLUMNS, "phash": "string", "phash256": "string",
}  # fmt: skip


def measure(root: Path, name: str) -> tuple[dict[str, Any], RGB | None]:
    """Return the row of a picture and its pixels, RGB upright (H, W, 3).

    The pixels are None if the file is damaged; the row's `damage` then says why.

    Args:
        root: Folder of the pictures.
        name: Relative to it.
    """
    path = root / name
    row: dict[str, Any] = {"path": name}
    try:
        data = path.read_bytes()
        row |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        image = read_image(path)
    except (DataError, OSError) as error:
        return {**row, "damage": str(error).replace(str(path), name)}, None
    height, width = image.shape[:2]
    short, long = perceptual_hashes(image)
    row |= {
        "width": width,
        "height": height,
        "short_side": min(width, height),
        "phash": short,
        "phash256": long,
    }
    return {**row, **exif(path), **quality.quality(image)}, image


def exif(path: Path) -> dict[str, Any]:
    """Return orientation, camera and time of a photograph; empty if its EXIF data are missing or broken."""
    try:
        with Image.open(path) as image:
            tags = image.getexif()
            inner = tags.get_ifd(ExifTags.IFD.Exif)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, Image.DecompressionBombError):
        return {}
    turned = tags.get(ExifTags.Base.Orientation)
    time = inner.get(ExifTags.Base.DateTimeOriginal) or tags.get(ExifTags.Base.DateTime)
    return {
        "exif_orientation": turned if isinstance(turned, int) else None,
        "exif_make": _text(tags.get(ExifTags.Base.Make)),
        "exif_model": _text(tags.get(ExifTags.Base.Model)),
        "exif_time": _text(time),
    }


def _text(value: Any) -> str | None:
    """Return a value as text that every program can store; None if it is empty."""
    text = str(value).replace("\0", "").strip().encode(errors="replace").decode() if value else ""
    return text or None
