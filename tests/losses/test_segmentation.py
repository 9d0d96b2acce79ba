"""Segmentation losses: the released numbers, ignored pixels, half precision, memory."""

import numpy as np
import pytest
import torch
from helpers import assert_golden_loss, normal
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.losses import CrossEntropy, Dice
from sapiens2_lit.losses import segmentation as module

TERMS = [CrossEntropy(class_weights="body29"), Dice()]


def problem(batch: int = 2) -> tuple[Tensor, Tensor]:
    logits = 2 * normal("seg.logits", (batch, 29, 32, 24))
    labels = torch.from_numpy(np.random.RandomState(7).randint(0, 29, (batch, 32, 24))).long()
    labels[:, :3] = 255
    return logits.requires_grad_(), labels


@pytest.mark.parametrize(
    ("term", "name"),
    [
        (TERMS[0], "seg.weighted_cross_entropy_none_then_mean"),
        (TERMS[1], "seg.dice_none_then_mean"),
    ],
)
def test_value_and_gradient_are_golden(term: torch.nn.Module, name: str) -> None:
    logits, labels = problem()
    assert_golden_loss(name, term(logits, labels), logits)


@pytest.mark.parametrize("term", TERMS)
def test_an_ignored_sample_has_no_loss_and_finite_gradients(term: torch.nn.Module) -> None:
    logits, labels = problem()
    labels[1] = 255
    loss = term(logits, labels)
    loss.backward()
    alone = term(logits[:1], labels[:1])
    torch.testing.assert_close(loss, alone / 2)
    assert logits.grad.isfinite().all()
    assert not logits.grad[1].any()
    nothing = term(logits, torch.full_like(labels, 255))
    assert nothing.item() == 0


@pytest.mark.parametrize("term", TERMS)
def test_ignored_pixels_do_not_matter(term: torch.nn.Module) -> None:
    logits, labels = problem()
    other = logits.detach().clone()
    other[:, :, :3] = 100 * torch.randn(2, 29, 3, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(term(other, labels), term(logits, labels))


@pytest.mark.parametrize("term", TERMS)
def test_chunks_change_nothing_and_keep_the_logits_alone(
    term: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, labels = problem(batch=5)
    loss = term(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    monkeypatch.setattr(module, "_CHUNK", 2 * logits[0].numel())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        again = term(logits, labels)
    assert sum(kept.values()) <= logits.nbytes + labels.nbytes + 1000
    torch.testing.assert_close(again, loss)
    torch.testing.assert_close(torch.autograd.grad(again, logits)[0], gradient)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("term", TERMS)
def test_half_precision_is_summed_in_float32(term: torch.nn.Module, dtype: torch.dtype) -> None:
    logits, labels = problem()
    half = logits.detach().to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = term(half, labels)
    (1024 * loss).backward()  # as a gradient scaler does, lest float16 lose small gradients
    exact = half.detach().double().requires_grad_()
    expected = term(exact, labels)
    (1024 * expected).backward()
    assert loss.dtype == torch.float32
    assert half.grad.dtype == dtype
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    error = (half.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < torch.finfo(dtype).eps


def test_perfect_logits_have_no_loss() -> None:
    _, labels = problem()
    certain = 100 * torch.nn.functional.one_hot(labels.clamp(max=28), 29).permute(0, 3, 1, 2).float()
    for term in TERMS:
        assert term(certain, labels).item() < 1e-5


def test_dice_counts_only_foreground_that_is_shown() -> None:
    logits = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    assert Dice()(logits, labels).item() == 0, "background alone"
    assert 0 < Dice(background=None)(logits, labels).item() < 1
    labels[:, 4:] = 2
    p, t = logits.softmax(1)[0, 2], (labels[0] == 2).float()
    expected = 1 - (2 * (p * t).sum() + 1e-3) / (p.square().sum() + t.sum() + 1e-3)
    torch.testing.assert_close(Dice(weight=3.0)(logits, labels), 3 * expected)


def test_settings_that_do_not_fit() -> None:
    logits, labels = problem()
    with pytest.raises(SettingError, match="`class_weights` has 2 entries, expected 29"):
        CrossEntropy(class_weights=[1, 2])(logits, labels)
    with pytest.raises(SettingError, match="`class_weights` is"):
        CrossEntropy(class_weights=[1, -2])
    with pytest.raises(SettingError, match="`eps` is 0"):
        Dice(eps=0)
