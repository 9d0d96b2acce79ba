"""Predictions as pictures: keypoints and classes on an image, images beside each other; all RGB uint8 (H, W, 3)."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sapiens2_lit.vocabularies import IGNORED, Classes, Skeleton

_SHIFT = 4  # OpenCV draws at 1/16 pixel
_BACKGROUND = 24
_TEXT = 235
_WIDEST_TITLE = 560  # width of a picture in pixels above which letters stop growing
_FAINT = 0.4  # opacity of keypoints with a score below the threshold
_READABLE = 256  # least height in pixels at which names fit beside a picture


def draw_keypoints(
    image: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Skeleton,
    threshold: float = 0.3,
    radius: float | None = None,
) -> np.ndarray:
    """Return a copy of `image` with one person's links as lines and keypoints as dots.

    Args:
        image: RGB uint8 (H, W, 3).
        keypoints: (K, 3) as x, y in pixels and a score (or v); (K, 2) draws all.
        skeleton: vocabulary of the keypoints, with links and colors.
        threshold: keypoints with a lower score, or without finite coordinates, are left out with their links.
        radius: radius in pixels of a body keypoint's dot; by default it follows the person's size. Dots of face and
            hands are smaller.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    picture = np.ascontiguousarray(image).copy()
    shown = np.isfinite(keypoints).all(axis=1)
    if keypoints.shape[1] > 2:
        shown &= keypoints[:, 2] >= max(threshold, np.spacing(0.0))  # v = 0 is unlabeled at any threshold
    # Far outside, sub-pixel coordinates would overflow OpenCV's integers.
    shown &= (np.abs(keypoints[:, :2]) < 1e5).all(axis=1)
    points = keypoints[:, :2]
    body = _dot_radius(points[shown], picture.shape[:2]) if radius is None else radius
    radii = np.full(len(points), body)
    for group in ("face", "left_hand", "right_hand"):
        members = [index for index in skeleton.groups.get(group, ()) if shown[index]]
        radii[members] = _group_radius(points[members], body)
    for first, second in skeleton.links:
        if shown[first] and shown[second]:
            color = _blend(skeleton.colors[first], skeleton.colors[second])
            width = max(1, round(min(radii[first], radii[second])))
            ends = _fixed(points[first]), _fixed(points[second])
            cv2.line(picture, *ends, color, width, cv2.LINE_AA, _SHIFT)
    # Small dots last, so that a wrist does not hide the hand.
    for index in sorted(np.flatnonzero(shown), key=lambda place: -radii[place]):
        _dot(picture, points[index], radii[index], skeleton.colors[index])
    return picture


def draw_unsure_keypoints(
    image: np.ndarray, keypoints: np.ndarray, skeleton: Skeleton, threshold: float = 0.3
) -> np.ndarray:
    """Draw keypoints as `draw_keypoints` does; scores between 0 and the threshold are drawn faintly.

    Args:
        image: RGB uint8 (H, W, 3).
        keypoints: (K, 3) as x, y in pixels and a score.
        skeleton: vocabulary of the keypoints.
        threshold: least score of a keypoint in full color.
    """
    every = draw_keypoints(image, keypoints, skeleton, threshold=0.0)
    faint = cv2.addWeighted(np.ascontiguousarray(image), 1 - _FAINT, every, _FAINT, 0)
    return draw_keypoints(faint, keypoints, skeleton, threshold)


def draw_segmentation(
    image: np.ndarray, labels: np.ndarray, classes: Classes, opacity: float = 0.6, legend: bool | None = None
) -> np.ndarray:
    """Return a copy of `image` with each pixel tinted in the color of its class, and a legend beside it.

    Below an opacity of 1, a darker line parts neighbors, whose colors may be alike. The background keeps the image's
    colors; ignored pixels are darkened.

    Args:
        image: RGB uint8 (H, W, 3).
        labels: (H, W) class of each pixel, 255 ignored.
        classes: vocabulary of the classes.
        opacity: of the colors, 0 to 1.
        legend: whether a column on the right names the classes that occur; by default only if the image is at least 256
            pixels high, because names on smaller ones are unreadable.
    """
    labels = np.asarray(labels, dtype=np.uint8)
    assert labels.shape == image.shape[:2], f"image {image.shape}, labels {labels.shape}"
    image = np.ascontiguousarray(image)
    colors = cv2.applyColorMap(np.ascontiguousarray(labels), classes.palette()[:, None])  # a table lookup
    picture = cv2.addWeighted(image, 1 - opacity, colors, opacity, 0)
    if opacity < 1:
        picture[_borders(labels)] //= 2
    found = np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORED + 1)).tolist()
    if classes.background in found:
        cv2.copyTo(image, (labels == classes.background).view(np.uint8), picture)
    if IGNORED in found:
        cv2.copyTo(image // 4, (labels == IGNORED).view(np.uint8), picture)
    if legend or (legend is None and len(image) >= _READABLE):
        shown = [index for index in found if index < classes.num_classes and index != classes.background]
        return np.concatenate([picture, draw_legend(shown, classes, len(image))], axis=1)
    return picture


def _borders(labels: np.ndarray) -> np.ndarray:
    """Return where a pixel's class differs from the pixel below or on the right, (H, W) bool."""
    edges = np.zeros(labels.shape, dtype=bool)
    edges[:-1] = labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edges


def draw_legend(shown: Sequence[int], classes: Classes, height: int) -> np.ndarray:
    """Draw a column with colors and names of classes, as many as fit.

    Args:
        shown: indices of the classes.
        classes: their vocabulary.
        height: of the column, in pixels.

    Returns:
        RGB uint8 (H, W, 3).
    """
    row = max(9, height // max(30, len(shown)))
    scale = row / 32
    widths = [cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] for name in classes.names]
    column = np.full((height, 2 * row + max(widths), 3), _BACKGROUND, dtype=np.uint8)
    for place, index in enumerate(shown[: (height - row // 2) // row]):
        top = place * row + row // 2
        column[top + row // 6 : top + row - row // 6, row // 3 : row + row // 3] = classes.colors[index]
        at = (row + 2 * row // 3, top + round(0.7 * row))
        weight = max(1, round(1.5 * scale))
        name = classes.names[index].replace("_", " ")
        cv2.putText(column, name, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (_TEXT,) * 3, weight, cv2.LINE_AA)
    return column


def side_by_side(images: Sequence[np.ndarray], titles: Sequence[str] | None = None) -> np.ndarray:
    """Put images (H, W, 3) in one row, aligned at their tops, each below its title if `titles` are given."""
    assert images, "no image to draw"
    if titles is not None:
        scale = min(_title_scale(image, title) for image, title in zip(images, titles, strict=True))
        images = [_titled(image, title, scale) for image, title in zip(images, titles, strict=True)]
    return contact_sheet(images, columns=len(images))


def contact_sheet(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Put images (H, W, 3) in rows of `columns`; smaller ones are padded to the largest of their row and column."""
    assert images and columns > 0, f"{len(images)} images in {columns} columns"
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    widths = [max(row[place].shape[1] for row in rows if place < len(row)) for place in range(len(rows[0]))]
    gap = max(2, max(widths) // 100)
    lefts = np.cumsum([0] + [width + gap for width in widths])
    heights = [max(image.shape[0] for image in row) for row in rows]
    tops = np.cumsum([0] + [height + gap for height in heights])
    sheet = np.full((tops[-1] - gap, lefts[-1] - gap, 3), _BACKGROUND, dtype=np.uint8)
    for row, top in zip(rows, tops, strict=False):
        for image, left in zip(row, lefts, strict=False):
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def _dot_radius(points: np.ndarray, size: tuple[int, int]) -> float:
    """Return the radius of a body keypoint's dot: it grows with the picture, but stays small on small people."""
    radius = math.hypot(*size) / 220
    if len(points) > 1:
        radius = min(radius, math.hypot(*(points.max(axis=0) - points.min(axis=0))) / 50)
    return max(radius, 1.5)


def _group_radius(points: np.ndarray, body: float) -> float:
    """Return the radius for a dense group: a third of the usual distance between neighbors keeps dots apart."""
    if len(points) < 2:
        return body
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    return float(np.clip(np.median(distances.min(axis=1)) / 3, min(0.7, body), body))


def _dot(picture: np.ndarray, point: np.ndarray, radius: float, color: tuple[int, int, int]) -> None:
    if radius >= 2:  # a dark rim separates dots from a background of their color
        cv2.circle(
            picture, _fixed(point), round((radius + 1) * 2**_SHIFT), (0, 0, 0), -1, cv2.LINE_AA, _SHIFT
        )
    cv2.circle(picture, _fixed(point), round(radius * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(point * 2**_SHIFT).astype(int)
    return int(x), int(y)


def _blend(first: tuple[int, int, int], second: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = ((a + b) // 2 for a, b in zip(first, second, strict=True))
    return red, green, blue


def _title_scale(image: np.ndarray, title: str) -> float:
    """Return a size of letters that suits the image and lets the title fit above it, if that is readable."""
    width = image.shape[1]
    scale = min(max(width, 300), _WIDEST_TITLE) / 800
    (text_width, _), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    return max(0.25, min(scale, scale * 0.95 * width / max(text_width, 1)))


def _titled(image: np.ndarray, title: str, scale: float) -> np.ndarray:
    (_, height), below = cv2.getTextSize("Ag", cv2.FONT_HERSHEY_SIMPLEX, scale, 1)  # the same for every title
    bar = np.full((2 * height + below, image.shape[1], 3), _BACKGROUND, dtype=np.uint8)
    at = (max(2, image.shape[1] // 100), height + height // 2)
    weight = max(1, round(1.5 * scale))
    cv2.putText(bar, title, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (_TEXT,) * 3, weight, cv2.LINE_AA)
    return np.concatenate([bar, image])
