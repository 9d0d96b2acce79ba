"""F1 of the outlines of classes, counted by hand."""

import math

import pytest
import torch
from torch import Tensor

from sapiens2_lit.metrics.class_boundary import ClassBoundaryF1


def split(column: int, size: tuple[int, int] = (20, 40)) -> Tensor:
    """Class 0, and from a column on class 1."""
    classes = torch.zeros(1, *size, dtype=torch.int64)
    classes[..., column:] = 1
    return classes


def f1(prediction: Tensor, labels: Tensor, num_classes: int = 2) -> float:
    metric = ClassBoundaryF1(num_classes)
    metric.update(prediction, labels)
    return metric.compute()["boundary_f1"].item()


def test_an_outline_may_be_a_pixel_off_in_a_small_picture_and_more_in_a_large_one() -> None:
    assert (
        f1(split(20), split(20)) == f1(split(21), split(20)) == f1(split(19).to(torch.uint8), split(20)) == 1
    )
    assert f1(split(22), split(20)) == 0
    large = (300, 400)  # 0.75 % of 500 is 4
    assert f1(split(204, large), split(200, large)) == 1
    assert f1(split(205, large), split(200, large)) == 0


def test_an_outline_must_be_of_the_right_class() -> None:
    assert f1(2 - split(20), split(20), 3) == pytest.approx(
        1 / 3
    )  # class 1 on its other side, within a pixel
    assert f1(split(20) + 2, split(20), 4) == 0


def test_half_found_is_precision_one_and_recall_a_half() -> None:
    labels, half = split(20), split(20)
    half[:, 10:] = 0  # the lower half: an outline along the border between the halves is too much
    metric = ClassBoundaryF1(2)
    metric.update(half, labels)
    right, found, hit, true = metric.counts
    assert true.tolist() == [20, 20] and hit[1] == 11  # a pixel below the last found one is within reach
    assert found[1] == 10 + 19 and right[1] == 10 + 1


def test_what_is_not_labelled_does_not_count() -> None:
    labels = split(20)
    wrong = labels.clone()
    wrong[:, 5:10, 5:10] = 1
    assert f1(wrong, labels) < 1
    ignored = labels.clone()
    ignored[:, 4:11, 4:11] = 255
    assert f1(wrong, ignored) == 1
    assert math.isnan(f1(split(20), torch.full((1, 20, 40), 255)))
    assert math.isnan(f1(split(40), split(40)))
