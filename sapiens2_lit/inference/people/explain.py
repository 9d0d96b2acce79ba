"""Decide how many people a piece of a mask shows, by how well skeletons explain it."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.people.regions import Mask, Region

_SURE = 0.4  # share of the best keypoint's score; weaker keypoints do not tell where the person is
_MARGIN = 0.07  # share of a skeleton's extent by which the body exceeds the outline of the keypoints
_PRICE = 0.15  # share of the piece that each additional person must explain
_PRICE_OF_HEADS = 0.3  # the same if the mask shows heads, for each person more or less than heads

Points = npt.NDArray[np.float32]


def best_cut(
    piece: Region, cuts: Sequence[Sequence[Region]], poses: Sequence[Sequence[Points]], heads: int
) -> int:
    """Return the index of the best way to see a piece of a mask as people.

    The value of a way is the share of the piece that the outlines of its skeletons cover, times how sure the skeletons
    are relative to the surest way, minus a price for each person more or fewer than the heads in the
    mask; if the mask does not tell, for each person beyond the first.

    Args:
        piece: The piece of the mask.
        cuts: Ways to see it: a list of parts, one person each; usually one of them is the piece as it is.
        poses: For each way one skeleton per part, (K, 3): x, y in the picture's pixels and score.
        heads: Number of heads that the mask shows in the piece; 0 if it does not tell.
    """
    sureness = np.array([np.mean([points[:, 2].mean() for points in some]) for some in poses])
    surest = float(np.maximum(sureness.max(), np.finfo(np.float32).tiny))
    area = piece.mask.sum()
    values = []
    for parts, some, sure in zip(cuts, poses, sureness, strict=True):
        covered = np.zeros_like(piece.mask)
        for points in some:
            covered |= outline(points, piece)
        explained = float((covered & piece.mask).sum() / area)
        price = _PRICE_OF_HEADS * abs(len(parts) - heads) if heads else _PRICE * (len(parts) - 1)
        values.append(explained * sure / surest - price)
    return int(np.argmax(values))


def outline(points: Points, piece: Region) -> Mask:
    """Return the convex hull of a skeleton's surer keypoints, slightly enlarged: (h, w) of the piece's box.

    Args:
        points: (K, 3) x, y in the picture's pixels and score.
        piece: The piece of the mask.
    """
    height, width = piece.mask.shape
    finite = np.isfinite(points).all(axis=1)
    sure = points[finite & (points[:, 2] >= _SURE * np.max(points[finite, 2], initial=0))]
    if len(sure) < 3:
        return np.zeros((height, width), dtype=np.bool_)
    places = np.clip(sure[:, :2] - (piece.left, piece.top), -1e5, 1e5)
    extent = float(np.ptp(places, axis=0).max())
    canvas = np.zeros((height, width), dtype=np.uint8)
    hull = cv2.convexHull(np.rint(places).astype(np.int32))
    cv2.fillConvexPoly(canvas, hull, 1)
    cv2.polylines(canvas, [hull], True, 1, max(1, round(2 * _MARGIN * extent)))
    return canvas.astype(np.bool_)
