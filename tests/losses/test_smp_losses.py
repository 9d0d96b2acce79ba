"""Losses of segmentation_models_pytorch as terms of the head: by class path, in float32, 255 ignored."""

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import SegmentationHead
from sapiens2_lit.losses import SkipUnlabelled

SMP = "segmentation_models_pytorch.losses."
SETTINGS = {"mode": "multiclass", "ignore_index": 255}
SIZE = (32, 16)


def head_with(loss: str, **labelled: float) -> SegmentationHead:
    """As YAML builds it, beside a term of ours; inside `SkipUnlabelled` if its settings are given."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(SegmentationHead, "head")
    other = {"class_path": SMP + loss, "init_args": SETTINGS}
    if labelled:
        other = {"class_path": "sapiens2_lit.losses.SkipUnlabelled", "init_args": {"term": other, **labelled}}
    terms = {"cross_entropy": {"class_path": "sapiens2_lit.losses.CrossEntropy"}, "other": other}
    init_args = {"embed_dim": 8, "loss": terms}
    config = parser.parse_object(
        {"head": {"class_path": "sapiens2_lit.heads.SegmentationHead", "init_args": init_args}}
    )
    return parser.instantiate(config).head


def problem(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 29, (2, *SIZE), generator=generator)
    labels[:, :4] = 255
    return torch.randn(2, 29, *SIZE, generator=generator), labels


def batch(labels: Tensor) -> dict[str, Tensor]:
    return {"image": torch.zeros(len(labels), 3, *SIZE, dtype=torch.uint8), "segmentation": labels}


@pytest.mark.parametrize("loss", ["LovaszLoss", "FocalLoss", "TverskyLoss"])
def test_terms_by_class_path_ignore_what_does_not_count(loss: str) -> None:
    head = head_with(loss)
    logits, labels = problem()
    logits.requires_grad_()
    value = head.loss(logits, batch(labels))["other"]
    assert value.ndim == 0
    value.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[:, :, :4].any(), "ignored pixels have no gradient"
    assert logits.grad[:, :, 4:].abs().sum() > 0
    changed = logits.detach().clone()
    changed[:, :, :4] = 7 * problem(1)[0][:, :, :4]
    torch.testing.assert_close(head.loss(changed, batch(labels))["other"], value.detach())


@pytest.mark.parametrize("loss", ["LovaszLoss", "FocalLoss", "TverskyLoss"])
def test_a_sample_without_labels_beside_another_has_no_gradient(loss: str) -> None:
    logits, labels = problem()
    labels[1] = 255
    logits.requires_grad_()
    head_with(loss).loss(logits, batch(labels))["other"].backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[1].any()
    assert logits.grad[0].any()


@pytest.mark.parametrize("loss", ["LovaszLoss", "FocalLoss", "TverskyLoss"])
def test_labelled_keeps_a_term_from_batches_without_labels(loss: str) -> None:
    head = head_with(loss, weight=0.5)
    logits, labels = problem()
    plain = head_with(loss).loss(logits, batch(labels))["other"]
    torch.testing.assert_close(head.loss(logits, batch(labels))["other"], plain / 2)
    labels[1] = 255
    alone = head_with(loss).loss(logits[:1], batch(labels[:1]))["other"]
    torch.testing.assert_close(head.loss(logits, batch(labels))["other"], alone / 2)
    labels[:] = 255
    rough = logits.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = head.loss(rough, batch(labels))
    assert terms["other"].ndim == 0 and terms["other"] == 0
    torch.stack(list(terms.values())).sum().backward()
    assert rough.grad is not None
    assert not rough.grad.any() and rough.grad.isfinite().all()
    with pytest.raises(SettingError, match="SkipUnlabelled: `weight` is -1"):
        SkipUnlabelled(torch.nn.Identity(), weight=-1)


def test_a_batch_without_any_label() -> None:
    """Why there is `SkipUnlabelled`: Tversky's is 0; the others have no value, and a run would stop there."""
    logits, labels = problem()
    labels[:] = 255
    logits.requires_grad_()
    terms = head_with("TverskyLoss").loss(logits, batch(labels))
    assert terms["other"] == 0
    sum(terms.values()).backward()
    assert logits.grad is not None
    assert not logits.grad.any()
    assert head_with("FocalLoss").loss(logits, batch(labels))["other"].isnan()
    assert head_with("LovaszLoss").loss(logits, batch(labels))["other"].numel() == 0


@pytest.mark.parametrize("loss", ["LovaszLoss", "FocalLoss", "TverskyLoss"])
def test_half_precision_is_left_before_pixels_are_added_up(loss: str) -> None:
    head = head_with(loss)
    logits, labels = problem()
    rough = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = head.loss(rough, batch(labels))["other"]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, head.loss(rough.float(), batch(labels))["other"])
