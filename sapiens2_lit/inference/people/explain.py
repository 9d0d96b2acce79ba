"""How many people a piece of a mask is, by what skeletons explain of it."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.people.regions import Mask, Region

_SURE = 0.4  # of a person's best keypoint's score: weaker ones do not tell where the person is
_MARGIN = 0.07  # of a skeleton's extent: how far flesh reaches beyond the outline of the keypoints
_PRICE = 0.15  # what one person more must explain, as a share of the piece
_PRICE_OF_HEADS = 0.3  # the same where the mask shows heads, and for one more or less than these

Points = npt.NDArray[np.float32]


def best_cut(
    piece: Region, cuts: Sequence[Sequence[Region]], poses: Sequence[Sequence[Points]], heads: int
) -> int:
    """Which of several ways to see a piece as people is the best, by its place.

    A way is worth what the outlines of its skeletons cover of the piece, times how sure the skeletons are beside the
    surest of all ways, less a price for each person more or less than heads are seen, or than one.

    Args:
        piece: the piece of the mask.
        cuts: ways to see it: parts, a person each; one of them usually the piece as it is.
        poses: of each way a skeleton a part, (K, 3) x, y in the picture's pixels and score.
        heads: how many heads the mask shows in the piece; 0 where it does not tell.
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
    """(h, w) of the piece's box: the convex hull of the surer keypoints of a skeleton, a little larger."""
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
