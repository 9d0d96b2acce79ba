"""PCK: counted by hand, over batches and processes alike."""

import pytest
import torch
from torchmetrics import MetricCollection

from sapiens2_lit.metrics import PCK


def test_counts_labelled_keypoints_within_reach():
    target = torch.tensor([[[10.0, 10, 2], [20, 20, 1], [30, 30, 0]], [[5, 5, 2], [9, 9, 0], [50, 50, 2]]])
    prediction = target.clone()
    prediction[0, 0, 0] += 4  # box of 100: within 0.05
    prediction[0, 1, 1] += 9  # within 0.1 only
    prediction[0, 2] += 1000  # unlabelled
    prediction[1, 0, :2] += 30  # box of 200: beyond both
    metric = PCK()
    metric.update(prediction, target, torch.tensor([100.0, 200.0]))
    assert metric.compute() == {"PCK@0.05": pytest.approx(2 / 4), "PCK@0.1": pytest.approx(3 / 4)}


def test_batches_add_up():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(6, 9, 3, generator=generator) * torch.tensor([90.0, 90.0, 1.0])
    target[..., 2] = target[..., 2].round()
    prediction = target + torch.randn(6, 9, 3, generator=generator) * 6
    size = torch.full((6,), 100.0)
    whole, parts = PCK((0.03, 0.1)), PCK((0.03, 0.1))
    whole.update(prediction, target, size)
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        parts.update(prediction[part], target[part], size[part])
    assert whole.compute() == parts.compute()
    assert 0 < whole.compute()["PCK@0.03"] < whole.compute()["PCK@0.1"] < 1


def test_nothing_labelled_is_not_a_number():
    metric = PCK()
    metric.update(torch.zeros(1, 3, 3), torch.zeros(1, 3, 3), torch.ones(1))
    assert all(value.isnan() for value in metric.compute().values())


def test_predictions_that_are_not_finite_are_wrong():
    metric = PCK()
    metric.update(torch.full((1, 3, 3), torch.nan), torch.ones(1, 3, 3), torch.full((1,), 10.0))
    assert metric.compute()["PCK@0.1"] == 0


def test_two_in_a_collection_do_not_clash():
    collection = MetricCollection({"body": PCK(), "face": PCK()}, compute_groups=False)
    one, other = torch.ones(1, 2, 3), torch.full((1, 2, 3), 90.0)
    collection["body"].update(one, one, torch.ones(1))
    collection["face"].update(other, one, torch.ones(1))
    results = collection.compute()
    assert results["body_PCK@0.05"] == 1 and results["face_PCK@0.05"] == 0
