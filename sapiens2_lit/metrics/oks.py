"""Object keypoint similarity: scores of people, and suppression of those found twice.

OKS of two people is the mean over keypoints of exp(-d^2 / (2 area k^2)), k = 2 sigma (COCO's evaluation).
"""

import numpy as np
from torch import Tensor

SCORE_THRESHOLD = 0.2
NMS_THRESHOLD = 0.9


def person_score(keypoints: Tensor, box_score: Tensor, threshold: float = SCORE_THRESHOLD) -> Tensor:
    """How sure a pose is: box score times the mean of the keypoint scores above `threshold`, 0 if none is.

    Args:
        keypoints: (..., K, 3) as x, y, score.
        box_score: (...).
    """
    scores = keypoints[..., 2]
    counts = scores > threshold
    total = scores.masked_fill(~counts, 0).sum(dim=-1)
    return box_score * total / counts.sum(dim=-1).clamp_min(1)


def oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, sigmas: np.ndarray, threshold: float = NMS_THRESHOLD
) -> np.ndarray:
    """Return indices of one image's people to keep, the best first; of two that are one the better stays.

    A person's area, which OKS needs, is that of the box around the keypoints; of two people, the mean.

    Args:
        keypoints: (N, K, >= 2) x, y in pixels.
        scores: (N,).
        sigmas: (K,) OKS constants.
        threshold: OKS above which two people are one.
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
