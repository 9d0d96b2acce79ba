"""Find impossible labels: points that stand for missing ones, and wrong areas."""

import numpy as np
import numpy.typing as npt

# COCO: a person's outline covers about this share of the box; used if a file has no areas.
AREA_OF_BOX = 0.53
LEAST_OF_BOX, MOST_OF_BOX = 0.01, 4.0  # an area outside these shares of the box is wrong
SENTINELS = ((0.0, 0.0), (-1.0, -1.0))  # where tools put missing points
MARGIN = 0.1  # share of the image's sides: people reach beyond the image, but not farther than this


def sentinel_points(points: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Find labeled points (N, S) among (N, S, 3) that lie exactly where tools put missing ones."""
    found = np.zeros(points.shape[:2], dtype=np.bool_)
    for x, y in SENTINELS:
        found |= (points[..., 0] == x) & (points[..., 1] == y)
    return np.asarray(found & (points[..., 2] > 0), dtype=np.bool_)


def outside_points(
    points: npt.NDArray[np.float32], sizes: npt.NDArray[np.int64], margin: float = MARGIN
) -> npt.NDArray[np.bool_]:
    """Find labeled points (N, S) that lie outside their image by more than a margin.

    Args:
        points: (N, S, 3).
        sizes: (N, 2) declared (width, height), 0 if unknown: such points are not judged.
        margin: share of the image's sides.
    """
    ends = sizes[:, None].astype(np.float32)
    room = margin * ends + 1.0
    place = points[..., :2]
    outside = np.any((place < -room) | (place > ends + room), axis=-1)
    known = np.all(sizes > 0, axis=1)
    return np.asarray(outside & known[:, None] & (points[..., 2] > 0), dtype=np.bool_)


def without_sentinels(
    points: npt.NDArray[np.float32], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Set points that stand for missing ones or lie far outside the image to 0.

    Args:
        points: (N, S, 3).
        sizes: (N, 2) declared (width, height), 0 if unknown.

    Returns:
        (N, S, 3), the same array if there are no such points.
    """
    dropped = sentinel_points(points) | outside_points(points, sizes)
    if not dropped.any():
        return points
    kept = points.copy()
    kept[dropped] = 0
    return kept


def repair_areas(
    areas: npt.NDArray[np.float64],
    boxes: npt.NDArray[np.float64],
    label_boxes: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return areas (N,) with 0.53 of the box in place of missing and impossible ones, and which ones were replaced.

    Args:
        areas: (N,) of the file, NaN if missing.
        boxes: (N, 4) that are used.
        label_boxes: (N, 4) of the file, NaN if missing: areas are compared with these.
    """
    whole = boxes[:, 2] * boxes[:, 3]
    labelled = label_boxes[:, 2] * label_boxes[:, 3]
    known = labelled > 0
    with np.errstate(invalid="ignore"):
        fits = (areas > 0) & (
            ~known | ((areas >= LEAST_OF_BOX * labelled) & (areas <= MOST_OF_BOX * labelled))
        )
    return np.where(fits, areas, AREA_OF_BOX * whole), ~fits
