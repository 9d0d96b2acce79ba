"""Object keypoint similarity (OKS): scores of people, and suppression of people found twice.

OKS of two people is the mean over keypoints of exp(-d^2 / (2 area k^2)), with k = 2 sigma (COCO's evaluation).
"""

import numpy as np
from torch import Tensor

SCORE_THRESHOLD = 0.2
NMS_THRESHOLD = 0.9


def person_score(keypoints: Tensor, box_score: Tensor, threshold: float = SCORE_THRESHOLD) -> Tensor:
    """Return the score of a pose: box score times the mean of the keypoint scores above `threshold`, 0 if none is.

    Args:
        keypoints: (..., K, 3) as x, y, score.
        box_score: (...).
        threshold: Keypoint scores up to this are left out.
    """
    scores = keypoints[..., 2]
    counts = scores > threshold
    total = scores.masked_fill(~counts, 0).sum(dim=-1)
    return box_score * total / counts.sum(dim=-1).clamp_min(1)


def oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, sigmas: np.ndarray, threshold: float = NMS_THRESHOLD
) -> np.ndarray:
    """Return the indices of an image's people to keep, the best first, after suppression of people found twice.

    OKS needs an area: the mean of the areas of the boxes around both people's keypoints.

    Args:
        keypoints: (N, K, >= 2) x, y in pixels.
        scores: (N,).
        sigmas: (K,) OKS constants.
        threshold: OKS above which two people are the same person.
    """
    points = keypoints[..., :2].astype(np.float64)
    area = np.prod(points.max(axis=1) - points.min(axis=1), axis=-1)
    variance = 2 * (2 * sigmas) ** 2
    kept = []
    rest = np.argsort(-scores, kind="stable")
    while rest.size:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        distance = ((points[rest] - points[best]) ** 2).sum(axis=-1)
        mean_area = (area[rest] + area[best]) / 2 + np.spacing(1)
        similarity = np.exp(-distance / variance / mean_area[:, None]).mean(axis=-1)
        rest = rest[similarity <= threshold]
    return np.array(kept, dtype=np.int64)
