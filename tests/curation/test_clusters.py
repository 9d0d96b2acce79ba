"""k-means, shares and samples."""

import numpy as np
import picture_pool as pool
import pytest

from sapiens2_lit.curation.kmeans import assign, hierarchy, kmeans
from sapiens2_lit.curation.sampling import balanced_sample, fair_shares


@pytest.mark.parametrize("levels", [(3,), (30, 3)])
def test_clusters_of_ten_to_one_come_out_alike(levels: tuple[int, ...]) -> None:
    points, whose = pool.blobs((2000, 1000, 200))
    rows = balanced_sample(hierarchy(points, levels, seed=0), len(points), 300, seed=0)
    counts = np.bincount(whose[rows])
    assert counts.sum() == 300 and len(set(rows.tolist())) == 300
    assert counts.max() <= 1.2 * counts.min()


def test_kmeans_is_a_fixed_point_and_the_same_each_time() -> None:
    points, whose = pool.blobs((50, 40, 30))
    centroids, labels = kmeans(points, 3, seed=3)
    assert {len(set(labels[whose == blob].tolist())) for blob in range(3)} == {1}
    for cluster in range(3):
        assert np.allclose(centroids[cluster], points[labels == cluster].mean(axis=0), atol=1e-5)
    assert np.array_equal(labels, assign(points, centroids)[0])
    again = kmeans(points, 3, seed=3)
    assert np.array_equal(centroids, again[0]) and np.array_equal(labels, again[1])


def test_no_cluster_is_empty_where_points_are_few_or_equal() -> None:
    centroids, labels = kmeans(np.ones((5, 2), np.float32), 3, seed=0)
    assert len(centroids) == 1 and labels.tolist() == [0] * 5
    centroids, labels = kmeans(np.eye(3, dtype=np.float32), 8, seed=0)
    assert len(centroids) == 3 and sorted(labels.tolist()) == [0, 1, 2]


def test_shares_have_one_cap() -> None:
    assert fair_shares([100, 10, 5], 30) == [15, 10, 5]
    assert fair_shares([7, 7, 7], 10) == [4, 3, 3]
    assert fair_shares([2, 3], 10) == [2, 3]
    random = np.random.default_rng(0)
    for _ in range(100):
        sizes = random.integers(1, 50, 6).tolist()
        wanted = int(random.integers(1, 200))
        shares = fair_shares(sizes, wanted)
        assert sum(shares) == min(wanted, sum(sizes))
        cut = [share for share, size in zip(shares, sizes, strict=True) if share < size]
        assert all(share <= min(cut) + 1 for share in shares) if cut else shares == sizes
