"""Class weights from pixel counts."""

import pytest
import torch

from sapiens2_lit.errors import SettingError
from sapiens2_lit.losses import BalancedCrossEntropy, CrossEntropy
from sapiens2_lit.losses.segmentation import balanced_weights


def test_rare_classes_weigh_by_the_root_and_the_mean_over_pixels_is_one() -> None:
    counts = [9_000, 900, 100]
    weights = balanced_weights(counts)
    assert sum(w * n for w, n in zip(weights, counts, strict=True)) / sum(counts) == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(10**0.5)
    assert weights[2] / weights[0] == pytest.approx(90**0.5)
    assert balanced_weights([5, 5]) == pytest.approx((1, 1))


def test_the_rarest_are_not_made_up_for_without_end_and_the_absent_count_as_one() -> None:
    weights = balanced_weights([10**9, 10**3, 1, 0])
    assert weights[1] == weights[2] == pytest.approx(100 * weights[0], rel=1e-3)
    assert weights[3] == 1


def test_balanced_is_the_weighted_term_with_the_counted_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 6, generator=generator)
    labels = torch.randint(0, 3, (2, 8, 6), generator=generator)
    labels[:, :2] = 255
    term = BalancedCrossEntropy(3, weight=2.0)
    torch.testing.assert_close(term(logits, labels), CrossEntropy(2.0)(logits, labels))
    term.set_counts([70, 20, 10])
    counted = CrossEntropy(2.0, class_weights=list(balanced_weights([70, 20, 10])))
    torch.testing.assert_close(term(logits, labels), counted(logits, labels))
    copy = BalancedCrossEntropy(3, weight=2.0)
    copy.load_state_dict(term.state_dict())
    torch.testing.assert_close(copy(logits, labels), term(logits, labels))


def test_it_can_be_built_without_memory_and_filled_later() -> None:
    with torch.device("meta"):
        term = BalancedCrossEntropy(3)
    term.to_empty(device="cpu")
    term.init_weights()
    assert term.balance.tolist() == [1, 1, 1]


def test_counts_that_mean_nothing_are_refused() -> None:
    with pytest.raises(SettingError, match="pixels of 2 classes were counted, expected 3"):
        BalancedCrossEntropy(3).set_counts([1, 2])
    with pytest.raises(SettingError, match="no labeled pixel"):
        BalancedCrossEntropy(3).set_counts([0, 0, 0])
