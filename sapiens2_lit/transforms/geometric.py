"""One 2 x 3 affine per sample: its algebra, and how it moves an image, its keypoints and its class maps.

A = [[a, b, c], [d, e, f]] in float64 maps a source pixel (x, y) to a target pixel. Sizes are (height, width),
points (x, y), and pixel centers are integers: an image of width W covers -0.5 <= x < W - 0.5.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]

# Bilinear sampling reads 2 x 2 pixels: shrinking by more skips pixels, and fine texture aliases.
_LARGEST_ALIAS_FREE_SHRINK = 2.0
_SQUARE = (
    1.02  # pixel sides that differ by less are equal: in crops they differ by the half pixels at the edges
)


def scaling(x: float, y: float) -> Affine:
    """Return the affine that multiplies coordinates by `x` and `y`."""
    return np.array([[x, 0, 0], [0, y, 0]], dtype=np.float64)


def translation(x: float, y: float) -> Affine:
    """Return the affine that adds `x` and `y`, in pixels."""
    return np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)


def rotation(degrees: float) -> Affine:
    """Return the affine that turns about the origin, clockwise as seen (y points down)."""
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0]], dtype=np.float64)


def mirror(width: int) -> Affine:
    """Return the affine that flips an image of width `width` left to right."""
    return np.array([[-1, 0, width - 1], [0, 1, 0]], dtype=np.float64)


def resizing(x: float, y: float) -> Affine:
    """Return the affine of resizing an image by `x` and `y`: x maps to s (x + 0.5) - 0.5."""
    return np.array([[x, 0, 0.5 * x - 0.5], [0, y, 0.5 * y - 0.5]], dtype=np.float64)


def compose(*affines: Affine) -> Affine:
    """Return the affine that applies the last one first, as in `f(g(x))`."""
    product = np.eye(3)
    for affine in affines:
        product = product @ np.vstack([affine, (0, 0, 1)])
    return product[:2]


def invert(affine: Affine) -> Affine:
    """Return the affine that undoes `affine`."""
    linear = np.linalg.inv(affine[:, :2])
    return np.hstack([linear, -linear @ affine[:, 2:]])


def is_mirrored(affine: Affine) -> bool:
    """Whether `affine` turns left into right (det A < 0)."""
    return bool(np.linalg.det(affine[:, :2]) < 0)


def apply_affine(affine: Affine, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Map points (..., 2), in pixels, by an affine."""
    return points @ affine[:, :2].T + affine[:, 2]


def warp_points(
    points: npt.NDArray[np.floating], affine: Affine, size: tuple[int, int], swap: Sequence[int]
) -> npt.NDArray[np.float32]:
    """Map keypoints into an input image, with left and right swapped where the affine mirrors.

    Args:
        points: (K, 3) source pixels x, y and visibility v (0 unlabeled).
        affine: source pixel -> input pixel.
        size: (height, width) of the input image.
        swap: the vocabulary's mirror partner of each keypoint.

    Returns:
        float32 (K, 3). Points that were unlabeled, or that fall outside the input image, are (0, 0, 0).
    """
    height, width = size
    if is_mirrored(affine):
        points = points[np.asarray(swap)]
    mapped = apply_affine(affine, points[:, :2].astype(np.float64))
    x, y = mapped.T
    seen = (points[:, 2] > 0) & (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    warped = np.zeros((len(points), 3), dtype=np.float32)
    warped[seen, :2] = mapped[seen]
    warped[seen, 2] = points[seen, 2]
    return warped


def warp_image(
    image: npt.NDArray[np.uint8],
    affine: Affine,
    size: tuple[int, int],
    *,
    interpolation: int = cv2.INTER_LINEAR,
    border_value: float | Sequence[float] | None = 0,
) -> npt.NDArray[np.uint8]:
    """Resample an image once.

    Shrinking by more than 2 would skip pixels. In that case the image is first reduced by area averaging, and the
    affine is adjusted exactly. The affine for keypoints does not change.

    Args:
        image: (h, w, 3) uint8.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.
        interpolation: OpenCV's constant for the one resampling.
        border_value: value outside the image: one number, one number per channel, or None for the image's mean.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = size
    border = image.mean(axis=(0, 1)) if border_value is None else np.broadcast_to(border_value, (3,))
    image, affine = reduce_first(image, affine, size)
    warped = cv2.warpAffine(
        cv2.cvtColor(image, cv2.COLOR_RGB2RGBA),  # OpenCV warps four channels three times as fast as three
        affine,
        (width, height),
        flags=interpolation,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=tuple(map(float, border)),
    )
    return np.asarray(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


def warp_labels(
    labels: npt.NDArray[np.uint8],
    affine: Affine,
    size: tuple[int, int],
    swap: npt.NDArray[np.uint8],
    *,
    outside: int,
) -> npt.NDArray[np.uint8]:
    """Resample a class map: each pixel takes the class of the source pixel at its center.

    Args:
        labels: (h, w) class of each source pixel.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.
        swap: (256,) class that replaces each class in a mirrored image; used if the affine mirrors.
        outside: class of pixels outside the source.
    """
    height, width = size
    warped = cv2.warpAffine(
        labels,
        affine,
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(float(outside),),
    )
    return np.asarray(cv2.LUT(warped, swap) if is_mirrored(affine) else warped, dtype=np.uint8)


def shrinks(affine: Affine) -> bool:
    """Whether `reduce_first` reduces an image for this affine, because it shrinks by more than 2."""
    return max(_shrink(affine)) > _LARGEST_ALIAS_FREE_SHRINK


def least_shrink(affine: Affine) -> float:
    """Return the smaller of the two shrink factors (source pixels per output pixel along x and along y).

    It is 1 or less if one of the axes does not shrink.
    """
    return min(_shrink(affine))


def reduce_first(
    image: npt.NDArray[Any], affine: Affine, size: tuple[int, int]
) -> tuple[npt.NDArray[Any], Affine]:
    """Reduce an image by area averaging if sampling it by `affine` would skip pixels.

    An affine that shrinks by 2 or less returns image and affine unchanged. Otherwise the region that the output shows
    is cut out and reduced, and the returned affine maps the small image to the output at about 1:1.

    Args:
        image: 2-D (h, w) or 3-D (h, w, C), uint8 or float32.
        affine: source pixel -> output pixel.
        size: (height, width) of the output.

    Returns:
        The image to sample, and the affine from its pixels to output pixels.
    """
    shrink = _shrink(affine)
    if max(shrink) <= _LARGEST_ALIAS_FREE_SHRINK:
        return image, affine
    rows, columns = shown_region(affine, size, (image.shape[0], image.shape[1]))
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    if left >= right or top >= bottom:
        return image, affine  # nothing of the image is shown
    shown = image[top:bottom, left:right]
    small_width = max(1, round(shown.shape[1] / shrink[0]))
    small_height = max(1, round(shown.shape[0] / shrink[1]))
    small = cv2.resize(shown, (small_width, small_height), interpolation=cv2.INTER_AREA)
    to_small = compose(
        resizing(small_width / shown.shape[1], small_height / shown.shape[0]), translation(-left, -top)
    )
    return np.asarray(small, dtype=image.dtype), compose(affine, invert(to_small))


def block_of(affine: Affine) -> tuple[int, int]:
    """Return the rows and columns of the blocks of whole source pixels that are averaged before an affine that shrinks.

    Both are 1 if it shrinks by 2 or less. Otherwise less than a factor of 2 remains for the affine itself.
    """
    shrink = _shrink(affine)
    if max(shrink) <= _LARGEST_ALIAS_FREE_SHRINK:
        return 1, 1
    return max(1, int(shrink[1])), max(1, int(shrink[0]))


def average_blocks(
    values: npt.NDArray[Any], block: tuple[int, int], affine: Affine
) -> tuple[npt.NDArray[Any], Affine]:
    """Average blocks of whole pixels, and return the affine from the averages to the output.

    A part of the values whose first row and column begin a block has the same averages as the whole. OpenCV averages
    blocks of whole pixels up to three times as fast as other areas. Incomplete blocks at the end repeat the last pixel.

    Args:
        values: 2-D (h, w) or 3-D (h, w, C), uint8, uint16 or float32; integers are rounded.
        block: (rows, columns) of a block.
        affine: source pixel -> output pixel.
    """
    (rows, columns), (height, width) = block, values.shape[:2]
    below, beside = -height % rows, -width % columns
    if below or beside:
        values = cv2.copyMakeBorder(values, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    small = ((width + beside) // columns, (height + below) // rows)
    averages = cv2.resize(values, small, interpolation=cv2.INTER_AREA)
    return np.asarray(averages), compose(affine, resizing(columns, rows))


def shown_region(affine: Affine, size: tuple[int, int], source: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of an image that an output shows, with a margin; empty if it shows none.

    Args:
        affine: source pixel -> output pixel.
        size: (height, width) of the output.
        source: (height, width) of the image.
    """
    height, width = size
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    region = apply_affine(invert(affine), corners)
    margin = 2 * np.maximum(_shrink(affine), 1)
    limits = np.array([source[1], source[0]])
    left, top = np.clip(np.floor(region.min(axis=0) - margin), 0, limits).astype(int).tolist()
    right, bottom = np.clip(np.ceil(region.max(axis=0) + margin), 0, limits).astype(int).tolist()
    return slice(top, max(top, bottom)), slice(left, max(left, right))


def reached_region(affine: Affine, source: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of an output that an image covers, with a margin; at least one pixel.

    Args:
        affine: source pixel -> output pixel.
        source: (height, width) of the image.
        size: (height, width) of the output.
    """
    rows, columns = shown_region(invert(affine), source, size)
    top, left = min(rows.start, size[0] - 1), min(columns.start, size[1] - 1)
    return slice(top, max(top + 1, rows.stop)), slice(left, max(left + 1, columns.stop))


def _shrink(affine: Affine) -> tuple[float, float]:
    """Return source pixels per target pixel, along the source's x and y.

    A side that does not shrink by more than 2 gets 1, which leaves it alone.
    """
    both = 1 / np.sqrt(abs(np.linalg.det(affine[:, :2])))
    x, y = 1 / np.linalg.norm(affine[:, :2], axis=0)
    if max(x, y) <= _SQUARE * min(x, y):
        return both, both
    return (x if x > _LARGEST_ALIAS_FREE_SHRINK else 1.0, y if y > _LARGEST_ALIAS_FREE_SHRINK else 1.0)
