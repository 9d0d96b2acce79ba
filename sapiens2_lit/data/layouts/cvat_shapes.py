"""The shapes in an XML file of CVAT: points of skeletons, outlines and masks.

Page: https://docs.cvat.ai/docs/other/xml_format.
"""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

_CORNERS = 64  # corners of the polygon for an ellipse


def points_of(shape: Element, place: Callable[[str], int]) -> list[float]:
    """Return x, y, v of a `skeleton`, whose points have labels, or of `points`, which have numbers.

    Args:
        shape: the element.
        place: returns the place of a point by its label.

    Raises:
        ValueError: its coordinates cannot be read.
    """
    if shape.tag == "points":
        pairs = _pairs(shape)
        seen = 1.0 if shape.get("occluded") == "1" else 2.0
        return [
            value
            for number, (x, y) in enumerate(pairs)
            for value in _set(place, f"point_{number + 1}", x, y, seen)
        ]
    found: dict[int, tuple[float, float, float]] = {}
    for point in shape.iterfind("points"):
        x, y = _pairs(point)[0]
        seen = 0.0 if point.get("outside") == "1" else 1.0 if point.get("occluded") == "1" else 2.0
        found[place(str(point.get("label")))] = (x, y, seen) if seen else (0.0, 0.0, 0.0)
    if not found:
        raise ValueError("has no points")
    return [value for number in range(max(found) + 1) for value in found.get(number, (0.0, 0.0, 0.0))]


def _set(
    place: Callable[[str], int], name: str, x: float, y: float, seen: float
) -> tuple[float, float, float]:
    place(name)
    return x, y, seen


def outline_of(shape: Element, size: tuple[int, int]) -> dict[str, Any] | None:
    """Return the `segmentation` of a polygon, box, ellipse or mask in COCO's format; None for shapes without area.

    Args:
        shape: the element.
        size: (width, height) of its picture.

    Raises:
        ValueError: its numbers cannot be read.
    """
    if shape.tag == "mask":
        return {"segmentation": _mask(shape, size)}
    if shape.tag == "box":
        x1, y1, x2, y2 = (_number(shape, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        return {"segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]}
    if shape.tag == "ellipse":
        angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        turn = np.radians(float(shape.get("rotation") or 0))
        x, y = _number(shape, "rx") * np.cos(angle), _number(shape, "ry") * np.sin(angle)
        corners = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1)
        corners += (_number(shape, "cx"), _number(shape, "cy"))
        return {"segmentation": [corners.ravel().tolist()]}
    pairs = _pairs(shape)
    return {"segmentation": [[value for pair in pairs for value in pair]]} if len(pairs) > 2 else None


def _mask(shape: Element, size: tuple[int, int]) -> dict[str, Any]:
    """Convert a mask in its own rectangle, row by row, to one of the whole picture, column by column."""
    left, top, width, height = (int(_number(shape, key)) for key in ("left", "top", "width", "height"))
    try:
        runs = [int(word) for word in (shape.get("rle") or "").split(",")]
    except ValueError:
        raise ValueError(f"`rle` is {shape.get('rle')!r:.40}, expected numbers") from None
    if sum(runs) != width * height:
        raise ValueError(f"`rle` has {sum(runs)} pixels, expected {width} x {height}")
    values = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8).reshape(height, width)
    whole = np.zeros((size[1], size[0]), dtype=np.uint8)
    if left < 0 or top < 0 or left + width > size[0] or top + height > size[1]:
        raise ValueError(f"lies outside its picture of {size[0]} x {size[1]} (width x height)")
    whole[top : top + height, left : left + width] = values
    return {"size": [size[1], size[0]], "counts": column_runs(whole)}


def column_runs(mask: np.ndarray) -> list[int]:
    """Return a 2-D mask (h, w) of 0 and 1 as COCO's run lengths, column by column; the first run is of 0."""
    flat = np.concatenate([[0], mask.ravel(order="F"), [2]])
    changes = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], changes])).tolist()


def _pairs(shape: Element) -> list[tuple[float, float]]:
    try:
        pairs = [tuple(map(float, pair.split(","))) for pair in (shape.get("points") or "").split(";")]
        return [(x, y) for x, y in pairs]
    except ValueError:
        raise ValueError(f"`points` is {shape.get('points')!r:.40}, expected x,y;x,y") from None


def _number(shape: Element, key: str) -> float:
    try:
        return float(shape.get(key, ""))
    except ValueError:
        raise ValueError(f"`{key}` is {shape.get(key)!r}, expected a number") from None
