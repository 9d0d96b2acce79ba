"""Surfaces under a lamp: it shows wrong normals, depth and points at once; all RGB uint8 (H, W, 3)."""

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating]

_LIGHT = np.array([-0.45, -0.55, -0.7])  # toward the lamp: left, above, on the camera's side
_AMBIENT = 0.25
_PAPER, _GROUND = 215, 24
_JUMP = 0.08  # relative step of depth between neighbors at which a surface ends
_EDGE = 2.0  # percent of points on either side that do not decide the size of the view


def shade(normals: Field) -> Field:
    """Return the brightness (H, W) in 0..1 of unit normals (H, W, 3) in the camera's frame, lit from the upper left."""
    light = _LIGHT / np.linalg.norm(_LIGHT)
    brightness: Field = _AMBIENT + (1 - _AMBIENT) * np.clip(normals @ light, 0, 1)
    return brightness


def draw_lit(normals: Field) -> np.ndarray:
    """Draw white plaster with these normals (H, W, 3), lit from the upper left; dark where there is no normal.

    Args:
        normals: in the camera's frame (y down, z forward); zero or not finite where there is none.
    """
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    known = np.isfinite(length) & (length > 0)
    unit = np.where(known, normals, 0) / np.where(known, length, 1)
    grey = np.where(known[..., 0], shade(unit) * _PAPER, _GROUND)
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def draw_surface(points: Field, turn: float = 30.0) -> np.ndarray:
    """Draw points (H, W, 3) as a surface of white plaster, seen slightly from the side.

    The picture is as large as the map.

    Args:
        points: in the camera's frame (y down, z forward); without a value where z is not above 0 or not finite.
        turn: degrees about the vertical; 0 looks along the camera's axis.
    """
    height, width = points.shape[:2]
    picture = np.full((height, width), _GROUND, dtype=np.uint8)
    known = np.isfinite(points).all(axis=2) & (points[..., 2] > 0)
    normals, lit = surface_normals(np.where(known[..., None], points, 0), known)
    if not lit.any():
        return np.repeat(picture[..., None], 3, axis=2)
    cloud = points[lit].astype(np.float64)
    low, high = np.percentile(cloud, [_EDGE, 100 - _EDGE], axis=0)
    angle = np.deg2rad(turn)
    turned = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    inside = ((cloud >= low) & (cloud <= high)).all(axis=1)
    grey = np.rint(shade(normals[lit]) * _PAPER)
    cloud = (cloud - (low + high) / 2) @ turned.T
    near = cloud[inside] if inside.any() else cloud
    first, last = near.min(axis=0), near.max(axis=0)
    middle, extent = (first + last) / 2, np.maximum(last - first, 1e-9)
    zoom = 0.95 * min(width / extent[0], height / extent[1])
    x = np.clip(zoom * (cloud[:, 0] - middle[0]) + (width - 1) / 2, -9, width + 9)
    y = np.clip(zoom * (cloud[:, 1] - middle[1]) + (height - 1) / 2, -9, height + 9)
    order = np.argsort(-cloud[:, 2], kind="stable")  # the nearest is painted last
    _splat(picture, x[order], y[order], grey[order].astype(np.uint8), _dot(near, zoom))
    return np.repeat(picture[..., None], 3, axis=2)


def surface_normals(points: Field, known: npt.NDArray[np.bool_]) -> tuple[Field, npt.NDArray[np.bool_]]:
    """Return unit normals (H, W, 3) of a point map, toward the camera, and where they are known (H, W).

    They are unknown across a jump of the depth.
    """
    across, down = np.zeros_like(points), np.zeros_like(points)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    eroded = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    depth = np.maximum(points[..., 2], 1e-9)
    smooth = (np.abs(across[..., 2]) < _JUMP * depth) & (np.abs(down[..., 2]) < _JUMP * depth)
    normals = np.cross(down, across)
    length = np.linalg.norm(normals, axis=2)
    found = eroded & smooth & (length > 0)
    unit: Field = np.where(found[..., None], normals / np.where(found, length, 1)[..., None], 0)
    return unit, found


def _dot(cloud: Field, zoom: float) -> int:
    """Return the side in pixels of a dot that closes the gaps between neighboring points."""
    area = np.prod(np.maximum(cloud[:, :2].max(axis=0) - cloud[:, :2].min(axis=0), 1e-9)) * zoom**2
    return int(np.clip(np.ceil(1.6 * np.sqrt(area / max(len(cloud), 1))), 2, 6))


def _splat(picture: np.ndarray, x: Field, y: Field, grey: np.ndarray, side: int) -> None:
    height, width = picture.shape
    left, top = np.floor(x - side / 2 + 0.5).astype(np.int64), np.floor(y - side / 2 + 0.5).astype(np.int64)
    places = [(right, low) for right in range(side) for low in range(side)]
    nearest = np.full(height * width, -1)  # the last of the points on each pixel
    for right, low in places:
        u, v = left + right, top + low
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        np.maximum.at(nearest, v[inside] * width + u[inside], np.flatnonzero(inside))
    hit = nearest >= 0
    picture.ravel()[hit] = grey[nearest[hit]]
