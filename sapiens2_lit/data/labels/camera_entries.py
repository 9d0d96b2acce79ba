"""A camera file's entry for one image: a separate json, or its entry among the `frames` of a transforms.json."""

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sapiens2_lit.data.files import read_json
from sapiens2_lit.data.labels.frames import FRAMES, TO_CAMERA, TO_WORLD, Pose, world_pose
from sapiens2_lit.errors import DataError

# Names of matrices with a fixed direction, and that direction; `extrinsics` has the direction of the frame.
_MATRICES = {
    "extrinsics": "extrinsics",
    TO_WORLD: TO_WORLD,
    TO_CAMERA: TO_CAMERA,
    "transform_matrix": TO_WORLD,
    "matrix_world": TO_WORLD,
}


def camera_entry(path: Path, image: Path) -> Any:
    """Return the entry for one image in a camera's json.

    Args:
        path: the file; a file with `frames` has many images, found by `file_path`.
        image: the file of the image.

    Raises:
        DataError: it cannot be read, or has no entry or several for the image.
    """
    content = _read(path, path.stat().st_mtime_ns if path.is_file() else 0)
    if not isinstance(content, Mapping) or "frames" not in content:
        return content
    entries = content["frames"]
    if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
        raise DataError(f"{path}: `frames` is no list of objects with `file_path` and `transform_matrix`.")
    wanted = PurePosixPath(image.as_posix()).with_suffix("").parts
    found = [one for one in entries if _ends_with(wanted, str(one.get("file_path", "")), image.suffix)]
    if len(found) != 1:
        names = ", ".join(str(one.get("file_path")) for one in (found or entries)[:3])
        raise DataError(
            f"{path}: {len(found) or 'none'} of its {len(entries)} `frames` has a `file_path` that is the end of "
            f"{image} (it has {names}, ...), expected one."
        )
    shared = {key: value for key, value in content.items() if key != "frames"}
    return {**shared, **found[0]}


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Any:
    return read_json(path)


def _ends_with(wanted: tuple[str, ...], file_path: str, suffix: str) -> bool:
    """Whether a `file_path`, with or without suffix, is the end of an image's path."""
    parts = [part for part in PurePosixPath(file_path.replace("\\", "/")).parts if part != "."]
    if parts and parts[-1].lower().endswith(suffix.lower()):
        parts[-1] = parts[-1][: -len(suffix)]
    return bool(parts) and wanted[-len(parts) :] == tuple(parts)


def entry_intrinsics(entry: Mapping[str, Any], path: Path, size: tuple[int, int]) -> Any:
    """Return the intrinsics of an entry, in pixels whose centers are integers, or None.

    It reads `intrinsics` (or `K`) in pixels, or with `normalized: true` as shares of width and height; `fl_x`, `fl_y`,
    `cx`, `cy` of transforms.json, whose pixel centers are at halves; `field_of_view` in degrees across the longer side;
    `camera_angle_x` in radians across the width.

    Args:
        entry: of one image.
        path: the file, for messages.
        size: (height, width) of the image.

    Raises:
        DataError: a value is impossible.
    """
    height, width = size
    normalized = entry.get("normalized", False)
    if not isinstance(normalized, bool):
        raise DataError(f"{path}: `normalized` is {normalized!r}, expected true or false.")
    matrix = entry.get("intrinsics", entry.get("K"))
    if matrix is not None:
        return _in_pixels(matrix, path, size) if normalized else matrix
    if "fl_x" in entry:
        fx = _number(entry, "fl_x", path)
        fy = _number(entry, "fl_y", path) if "fl_y" in entry else fx
        cx, cy = (_number(entry, key, path) - 0.5 if key in entry else (side - 1) / 2
                  for key, side in (("cx", width), ("cy", height)))  # fmt: skip
        return [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
    if "camera_angle_x" in entry:
        return _of_angle(_number(entry, "camera_angle_x", path), width, size, "camera_angle_x", path)
    if "field_of_view" in entry:
        degrees = _number(entry, "field_of_view", path)
        return _of_angle(math.radians(degrees), max(size), size, "field_of_view", path)
    return None


def declared_size(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the (height, width) of the image that an entry declares; None for a missing side."""
    sizes = [entry.get(long, entry.get(short)) for long, short in (("height", "h"), ("width", "w"))]
    whole = [int(one) if isinstance(one, float) and one.is_integer() else one for one in sizes]
    return whole[0], whole[1]


def entry_pose(entry: Any, path: Path, frame: str) -> Pose:
    """Return the transformation from a world frame to the camera's frame, by an entry's extrinsics.

    Args:
        entry: of one image.
        path: the file, for messages.
        frame: the world frame, of `FRAMES`.

    Raises:
        DataError: there are no extrinsics or several, or they are not a rotation and a shift.
    """
    entry = entry if isinstance(entry, Mapping) else {}
    found = [key for key in _MATRICES if key in entry]
    if "qvec" in entry and "tvec" in entry:
        return world_pose(frame, _of_quaternion(entry, path), path, TO_CAMERA)
    if len(found) != 1:
        have = f"found {' and '.join(found)}" if found else "found none"
        usual = FRAMES[frame].extrinsics
        raise DataError(
            f"{path}: data.frame '{frame}' ({FRAMES[frame].words}) needs the camera's extrinsics: {have}, expected "
            f"`extrinsics`, a 4 x 4 matrix, here {usual} (or one called {TO_WORLD} or {TO_CAMERA})."
        )
    return world_pose(frame, entry[found[0]], path, _MATRICES[found[0]])


def _in_pixels(matrix: Any, path: Path, size: tuple[int, int]) -> Any:
    try:
        found = np.array(matrix, dtype=np.float64).reshape(3, 3)
    except (TypeError, ValueError):
        return matrix  # its reader reports it
    height, width = size
    if max(found[0, 2], found[1, 2]) > 2:
        raise DataError(
            f"{path}: `normalized` is true, and cx, cy are {found[0, 2]:g}, {found[1, 2]:g}, expected about 0.5: they "
            "are pixels; leave `normalized` out."
        )
    found[0] *= width
    found[1] *= height
    found[:2, 2] -= 0.5  # the middle of the image is (width - 1) / 2
    return found


def _of_angle(angle: float, side: int, size: tuple[int, int], key: str, path: Path) -> list[list[float]]:
    if not 0 < angle < math.pi:
        unit = "degrees, above 0 and below 180" if key == "field_of_view" else "radians, above 0 and below pi"
        raise DataError(f"{path}: `{key}` is out of range, expected {unit}.")
    focal, (height, width) = side / 2 / math.tan(angle / 2), size
    return [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]


def _of_quaternion(entry: Mapping[str, Any], path: Path) -> Any:
    """Return [R | t] of COLMAP's qvec (w, x, y, z) and tvec."""
    try:
        w, x, y, z = np.array(entry["qvec"], dtype=np.float64)
        shift = np.array(entry["tvec"], dtype=np.float64).reshape(3)
    except (TypeError, ValueError):
        raise DataError(
            f"{path}: expected `qvec`, four numbers w, x, y, z, and `tvec`, three numbers."
        ) from None
    if abs(w * w + x * x + y * y + z * z - 1) > 1e-3:
        raise DataError(f"{path}: `qvec` is no rotation: its length is not 1.")
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.column_stack([rotation, shift])


def _number(entry: Mapping[str, Any], key: str, path: Path) -> float:
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{path}: `{key}` is {value!r}, expected a finite number.")
    return float(value)
