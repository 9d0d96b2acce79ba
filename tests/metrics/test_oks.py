"""Scores of people, and suppression of those found twice."""

import numpy as np
import torch

from sapiens2_lit.metrics import oks_nms, person_score


def test_person_score_is_the_mean_of_the_sure_keypoints():
    keypoints = torch.zeros(3, 4, 3)
    keypoints[0, :, 2] = torch.tensor([0.9, 0.5, 0.1, 0.2])
    keypoints[1, :, 2] = 0.15
    keypoints[2, :, 2] = 1.0
    scores = person_score(keypoints, torch.tensor([0.5, 1.0, 0.8]))
    torch.testing.assert_close(scores, torch.tensor([0.35, 0.0, 0.8]))


def test_of_the_same_person_the_better_stays():
    rng = np.random.RandomState(0)
    first, second = rng.rand(17, 2) * 100, rng.rand(17, 2) * 100 + 300
    people = np.stack([first, second, first + 0.5, second + 200])
    kept = oks_nms(people, np.array([0.5, 0.6, 0.9, 0.1]), np.full(17, 0.05))
    assert kept.tolist() == [2, 1, 3]


def test_threshold_one_keeps_everyone_and_order_is_by_score():
    people = np.zeros((3, 5, 2))
    people[:, :, 0] = np.arange(5)
    kept = oks_nms(people, np.array([0.2, 0.9, 0.5]), np.full(5, 0.05), threshold=1.0)
    assert kept.tolist() == [1, 2, 0]
