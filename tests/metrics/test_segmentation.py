"""Confusion counts: the released numbers, absent classes, ignored pixels, several processes."""

import numpy as np
import pytest
import torch
from helpers import golden_json, normal

from sapiens2_lit.errors import SettingError
from sapiens2_lit.metrics import SegmentationIoU


def test_scores_are_those_of_the_released_evaluation() -> None:
    expected = golden_json("metrics.json")["seg"]
    labels = torch.from_numpy(np.random.RandomState(5).randint(0, 29, (2, 64, 48))).long()
    noise = normal("m.seg", (2, 29, 64, 48))
    logits = 3 * torch.nn.functional.one_hot(labels, 29).permute(0, 3, 1, 2) + 1.2 * noise
    labels[:, :5] = 255
    metric = SegmentationIoU(29)
    metric.update(logits.argmax(1), labels)
    found = metric.compute()
    for name, theirs in {
        "accuracy": "aAcc",
        "mIoU": "mIoU",
        "mAcc": "mAcc",
        "mIoU_with_absent": "mIoU",
    }.items():
        assert found[name].item() == pytest.approx(expected[theirs] / 100, abs=1e-4)


def test_counted_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [1, 2, 255, 255]]])
    found = torch.tensor([[[0, 1, 1, 1], [3, 2, 2, 0]]])
    metric = SegmentationIoU(6)
    metric.update(found, labels)
    np.testing.assert_allclose(metric.per_class()[:5], [1 / 2, 2 / 4, 1, 0, np.nan])
    scores = {name: value.item() for name, value in metric.compute().items()}
    assert scores == pytest.approx(
        {
            "mIoU": (1 / 2 + 1 / 2 + 1 + 0) / 4,
            "mIoU_with_absent": (1 / 2 + 1 / 2 + 1 + 0) / 6,
            "foreground_mIoU": (1 / 2 + 1 + 0) / 3,
            "mAcc": (1 / 2 + 2 / 3 + 1) / 3,
            "accuracy": 4 / 6,
            "mDice": (2 / 3 + 2 / 3 + 1 + 0) / 4,
        }
    )


def test_batches_and_processes_add_up() -> None:
    rng = np.random.default_rng(0)
    labels, found = (torch.from_numpy(rng.integers(0, 5, (6, 9, 7))) for _ in range(2))
    whole, parts, other = SegmentationIoU(5), SegmentationIoU(5), SegmentationIoU(5)
    whole.update(found, labels)
    for part in (slice(0, 1), slice(1, 3)):
        parts.update(found[part], labels[part])
    other.update(found[3:], labels[3:])
    parts.confusion += other.confusion  # what the sum over processes does
    assert whole.compute() == parts.compute()


def test_nothing_labelled_is_not_a_number() -> None:
    metric = SegmentationIoU(3)
    metric.update(torch.zeros(1, 4, 4, dtype=torch.uint8), torch.full((1, 4, 4), 255))
    assert all(value.isnan() for value in metric.compute().values())


def test_labels_beyond_the_classes_are_an_error() -> None:
    metric = SegmentationIoU(3)
    with pytest.raises(SettingError, match="labels hold class 7, the head predicts 3"):
        metric.update(torch.zeros(1, 1, 2, dtype=torch.uint8), torch.tensor([[[0, 7]]]))


def test_each_class_that_occurs_is_scored_by_name() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [1, 2, 255, 255]]])
    found = torch.tensor([[[0, 1, 1, 1], [3, 2, 2, 0]]])
    metric = SegmentationIoU(6, names=["none", "arm", "leg", "hat", "shoe", "sock"])
    metric.update(found, labels)
    scores = {name: value.item() for name, value in metric.compute().items() if "/" in name}
    assert scores == pytest.approx(
        {
            "IoU/none": 1 / 2, "IoU/arm": 2 / 4, "IoU/leg": 1, "IoU/hat": 0,
            "Dice/none": 2 / 3, "Dice/arm": 4 / 6, "Dice/leg": 1, "Dice/hat": 0,
        }
    )  # fmt: skip
    assert metric.compute()["mDice"].item() == pytest.approx((2 / 3 + 4 / 6 + 1 + 0) / 4)
    with pytest.raises(SettingError, match="`names` has 2 entries, expected 3"):
        SegmentationIoU(3, names=["none", "arm"])


def test_dice_is_the_f1_score_of_a_class() -> None:
    rng = np.random.default_rng(1)
    labels, found = (torch.from_numpy(rng.integers(0, 4, (2, 9, 7))) for _ in range(2))
    metric = SegmentationIoU(4, names=["a", "b", "c", "d"])
    metric.update(found, labels)
    scores = metric.compute()
    for index, name in enumerate("abcd"):
        hits = ((found == index) & (labels == index)).sum().item()
        precision, recall = hits / (found == index).sum().item(), hits / (labels == index).sum().item()
        assert scores[f"Dice/{name}"].item() == pytest.approx(2 * precision * recall / (precision + recall))
        iou = scores[f"IoU/{name}"].item()
        assert scores[f"Dice/{name}"].item() == pytest.approx(2 * iou / (1 + iou))
