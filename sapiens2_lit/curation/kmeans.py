"""k-means in numpy: Lloyd's iterations from k-means++ seeds, deterministic for given points and seed.

faiss would be faster on tens of millions of points, but brings its own OpenMP beside PyTorch's.
"""

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

ITERATIONS = 30
_BLOCK = 1 << 16  # points compared with all centroids at a time
_PER_CLUSTER = 256  # points to draw seeds from, for each seed


def kmeans(points: Points, clusters: int, seed: int) -> tuple[Points, Labels]:
    """Return centroids (K, D) and the cluster of each point (N,).

    Args:
        points: (N, D), at least one.
        clusters: Wanted number; there are fewer if there are fewer distinct points.
        seed: Of the first centroids.
    """
    random = np.random.default_rng(seed)
    centroids = _seeds(points, min(clusters, len(points)), random)
    labels = np.full(len(points), -1, dtype=np.int64)
    for _ in range(ITERATIONS):
        before = labels
        labels, distances = assign(points, centroids)
        if np.array_equal(labels, before):
            break
        centroids = _means(points, labels, distances, len(centroids))
    labels, _ = assign(points, centroids)
    used, labels = np.unique(labels, return_inverse=True)
    return centroids[used], labels.astype(np.int64)


def assign(points: Points, centroids: Points) -> tuple[Labels, npt.NDArray[np.float32]]:
    """Return the nearest centroid of each point, (N,), and the squared distance to it, (N,).

    Args:
        points: (N, D).
        centroids: (K, D).
    """
    labels = np.empty(len(points), dtype=np.int64)
    distances = np.empty(len(points), dtype=np.float32)
    lengths = np.square(centroids).sum(axis=1)
    for start in range(0, len(points), _BLOCK):
        part = points[start : start + _BLOCK]
        apart = lengths - 2 * (part @ centroids.T)
        nearest = apart.argmin(axis=1)
        labels[start : start + _BLOCK] = nearest
        least = apart[np.arange(len(part)), nearest] + np.square(part).sum(axis=1)
        distances[start : start + _BLOCK] = np.maximum(least, 0)
    return labels, distances


def _seeds(points: Points, clusters: int, random: np.random.Generator) -> Points:
    """Draw seeds by k-means++, with probabilities proportional to the squared distance to earlier seeds."""
    if len(points) > _PER_CLUSTER * clusters:
        points = points[np.sort(random.choice(len(points), _PER_CLUSTER * clusters, replace=False))]
    chosen = [int(random.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    for _ in range(clusters - 1):
        nearest = np.minimum(nearest, np.square(points - points[chosen[-1]]).sum(axis=1, dtype=np.float64))
        total = nearest.sum()
        if total <= 0:  # no more different points
            break
        chosen.append(int(np.searchsorted(np.cumsum(nearest), random.random() * total, "right")))
    return points[np.minimum(chosen, len(points) - 1)].copy()


def _means(points: Points, labels: Labels, distances: npt.NDArray[np.float32], clusters: int) -> Points:
    """Return the mean of each cluster; an empty one restarts at the point that is farthest from its centroid."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=clusters)
    starts = np.concatenate([[0], np.cumsum(counts)])
    far = iter(np.argsort(-distances, kind="stable"))
    centroids = np.empty((clusters, points.shape[1]), dtype=np.float32)
    for cluster in range(clusters):
        own = order[starts[cluster] : starts[cluster + 1]]
        centroids[cluster] = points[own].mean(axis=0) if len(own) else points[next(far)]
    return centroids


def hierarchy(points: Points, levels: tuple[int, ...], seed: int) -> list[Labels]:
    """Return the cluster of each point (N,) at every level, finest first.

    A level clusters the centroids of the one before.

    Args:
        points: (N, D).
        levels: Falling numbers of clusters.
        seed: Of all levels.
    """
    found: list[Labels] = []
    for level, clusters in enumerate(levels):
        points, labels = kmeans(points, clusters, seed + level)
        found.append(labels if not found else labels[found[-1]])
    return found
