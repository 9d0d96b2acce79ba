"""The outlines in a file of LabelMe, as COCO's `segmentation`.

Page: https://github.com/wkentaro/labelme.
"""

import base64
import binascii
import io
from typing import Any

import numpy as np
from PIL import Image

from sapiens2_lit.data.layouts.cvat_shapes import column_runs

_CORNERS = 64  # corners of the polygon for a circle


def outline_of(shape: dict[str, Any], size: tuple[int, int]) -> Any:
    """Return corners, or run lengths of a mask; None for shapes without area.

    Args:
        shape: of the file.
        size: (width, height) of its picture.

    Raises:
        ValueError: its points or its mask cannot be read.
    """
    kind = shape.get("shape_type") or "polygon"
    try:
        points = np.array(shape.get("points") or [], dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise ValueError(f"`points` is {shape.get('points')!r:.40}, expected [[x, y], ...]") from None
    if kind == "polygon" and len(points) > 2:
        return [points.ravel().tolist()]
    if kind == "rectangle" and len(points) >= 2:
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        return [[x1, y1, x2, y1, x2, y2, x1, y2]]
    if kind == "circle" and len(points) == 2:
        angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        radius = np.hypot(*(points[1] - points[0]))
        return [(points[0] + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).ravel().tolist()]
    if kind == "mask" and len(points) == 2:
        return _mask(shape.get("mask"), points, size)
    return None


def _mask(given: Any, points: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """Return the mask in a base64 png that fills the rectangle between two corners."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(str(given), validate=True))) as image:
            values = (np.asarray(image.convert("L")) > 0).astype(np.uint8)
    except (binascii.Error, OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"`mask` cannot be read as png in base64: {error}") from None
    left, top = (round(float(value)) for value in points.min(axis=0))
    whole = np.zeros((size[1], size[0]), dtype=np.uint8)
    room = whole[top : top + values.shape[0], left : left + values.shape[1]]
    if left < 0 or top < 0 or room.shape != values.shape:
        raise ValueError(f"`mask` lies outside its picture of {size[0]} x {size[1]} (width x height)")
    room[:] = values
    return {"size": [size[1], size[0]], "counts": column_runs(whole)}
