"""Dense predictions as pictures: normals, depth, points, albedo, mattes; all RGB uint8 (H, W, 3).

Pixels without a value, such as ignored pixels of labels, show the image, darkened.
"""

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

Field = npt.NDArray[np.floating]

_BACKGROUND, _TEXT = 24, 235
_READABLE = 256  # least height in pixels at which numbers fit beside a picture
_SQUARE = 16  # squares of the checkerboard along the longer side
_NEAR = 2.0  # percent of pixels on either side that may lie outside the range of colors


def channels_last(field: Tensor) -> Field:
    """Return (C, H, W) as (H, W, C) float32 on the CPU."""
    return np.ascontiguousarray(field.detach().float().permute(1, 2, 0).cpu().numpy())


def draw_normals(image: np.ndarray, normals: Field) -> np.ndarray:
    """Draw normals in the usual colors: red to the right, green up, blue toward the camera.

    Args:
        image: RGB uint8 (H, W, 3), shown where there is no normal.
        normals: (H, W, 3) in the frame of the camera (y down, z forward); zero or not finite where there is none.
    """
    assert normals.shape == image.shape, f"image {image.shape}, normals {normals.shape}"
    length = np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))
    known = np.isfinite(length) & (length > 0)
    everywhere = bool(known.all())
    scale = 127.5 / (length if everywhere else np.where(known, length, 1))
    colors = (normals if everywhere else np.where(known[..., None], normals, 1)) * scale[..., None]
    colors[..., 1:] *= -1
    colors += 127.5
    picture = np.rint(colors, out=colors).astype(np.uint8)
    return picture if everywhere else np.where(known[..., None], picture, image // 4)


def draw_depth(image: np.ndarray, depth: Field, bar: bool | None = None, unit: str = "") -> np.ndarray:
    """Draw depth in colors from near (yellow) to far (violet), with a color bar beside it.

    Args:
        image: RGB uint8 (H, W, 3), shown where there is no depth.
        depth: (H, W) in any unit; not above 0, or not finite, where there is none.
        bar: whether a bar on the right shows the range; by default only if the image is at least 256 pixels high.
        unit: written behind the numbers of the bar, such as m.
    """
    assert depth.shape == image.shape[:2], f"image {image.shape}, depth {depth.shape}"
    known = np.isfinite(depth) & (depth > 0)
    low, high = depth_range(depth[known])
    nearness = 1 - (np.where(known, depth, low) - low) / (high - low)
    picture = np.where(known[..., None], color_map(nearness), image // 4)
    if bar or (bar is None and len(image) >= _READABLE):
        return np.concatenate([picture, draw_bar(low, high, len(image), unit)], axis=1)
    return picture


def depth_range(values: Field) -> tuple[float, float]:
    """Return the range of the colors: all values except the outermost 2 percent on either side."""
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, [_NEAR, 100 - _NEAR]).tolist()
    return low, max(high, low + 1e-6 * max(1.0, abs(low)))


def color_map(values: Field) -> np.ndarray:
    """Return RGB (H, W, 3) of values (H, W): violet at 0 to yellow at 1; values outside are clipped.

    Viridis grows lighter from end to end, so that it reads without color vision, too.
    """
    bytes_ = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return cv2.applyColorMap(bytes_, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def draw_bar(low: float, high: float, height: int, unit: str = "") -> np.ndarray:
    """Draw a column with the colors from near (top) to far, and both numbers.

    Args:
        low: depth at the near end.
        high: depth at the far end.
        height: of the column, in pixels.
        unit: written behind the numbers.

    Returns:
        RGB uint8 (H, W, 3).
    """
    row = max(9, height // 30)
    scale = row / 32
    texts = tuple(f"{number:.3g} {unit}".rstrip() for number in (low, high))
    widths = [cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] for text in texts]
    column = np.full((height, 2 * row + max(widths), 3), _BACKGROUND, dtype=np.uint8)
    column[row : height - row, row // 2 : row + row // 2] = color_map(
        np.linspace(1, 0, height - 2 * row)[:, None].repeat(row, axis=1)
    )
    for text, bottom in zip(texts, (2 * row, height - row), strict=True):
        weight = max(1, round(1.5 * scale))
        at = (row + 2 * row // 3, bottom)
        cv2.putText(column, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (_TEXT,) * 3, weight, cv2.LINE_AA)
    return column


def draw_points(image: np.ndarray, points: Field, turn: float = 60.0) -> np.ndarray:
    """Draw a point map as a cloud in the image's colors, seen from the side, in a picture as large as the image.

    The view is orthographic, turned about the vertical through the middle of the points. Its scale lets nearly all
    points fit.

    Args:
        image: RGB uint8 (H, W, 3).
        points: (H, W, 3) in the frame of the camera; without a value where z is not above 0 or not finite.
        turn: degrees; 0 looks along the camera's axis, 90 at right angles to it, from the camera's left.
    """
    assert points.shape == image.shape, f"image {image.shape}, points {points.shape}"
    picture = np.full_like(image, _BACKGROUND)
    known = np.isfinite(points).all(axis=2) & (points[..., 2] > 0)
    if not known.any():
        return picture
    cloud, colors = points[known].astype(np.float64), image[known]
    cloud = cloud - np.median(cloud, axis=0)
    angle = np.deg2rad(turn)
    x = np.cos(angle) * cloud[:, 0] - np.sin(angle) * cloud[:, 2]
    z = np.sin(angle) * cloud[:, 0] + np.cos(angle) * cloud[:, 2]
    height, width = picture.shape[:2]
    # twice, because the median may lie off the middle
    extent_x, extent_y = (2 * np.percentile(np.abs(side), 98) for side in (x, cloud[:, 1]))
    zoom = 0.9 * min(width / max(extent_x, 1e-9), height / max(extent_y, 1e-9))
    # bounded before they become integers: a prediction may lie anywhere
    u = np.rint(np.clip(zoom * x, -width, width) + (width - 1) / 2).astype(np.int64)
    v = np.rint(np.clip(zoom * cloud[:, 1], -height, height) + (height - 1) / 2).astype(np.int64)
    order = np.argsort(-z, kind="stable")  # the nearest is painted last
    u, v, colors = u[order], v[order], colors[order]
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):  # dots of 2 x 2 pixels leave few holes
        inside = (u + right >= 0) & (u + right < width) & (v + down >= 0) & (v + down < height)
        picture[v[inside] + down, u[inside] + right] = colors[inside]
    return picture


def draw_beside(image: np.ndarray, colors: Field) -> np.ndarray:
    """Draw an image with a field of colors (H, W, 3) in 0..1 on its right; black where the field is not finite."""
    assert colors.shape == image.shape, f"image {image.shape}, colors {colors.shape}"
    return np.concatenate([image, to_bytes(colors)], axis=1)


def draw_matte(foreground: Field, alpha: Field) -> np.ndarray:
    """Draw a premultiplied foreground (H, W, 3) over a checkerboard, by alpha (H, W, 1), all in 0..1.

    Pixels whose alpha is not finite are black.
    """
    height, width = alpha.shape[:2]
    square = max(2, max(height, width) // _SQUARE)
    odd = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2
    board = np.where(odd, 0.4, 0.6)[..., None]
    return to_bytes(foreground + (1 - alpha) * board)


def to_bytes(colors: Field) -> np.ndarray:
    """Convert colors (H, W, 3) in 0..1 to uint8; values that are not finite become 0."""
    return np.rint(np.clip(np.where(np.isfinite(colors), colors, 0), 0, 1) * 255).astype(np.uint8)
