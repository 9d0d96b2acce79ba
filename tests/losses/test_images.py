"""Every dense term is the mean over images of each image's own loss; the released forms are means over pixels."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from sapiens2_lit import losses
from sapiens2_lit.losses import DenseTerm, PointTerm

INTRINSICS = torch.tensor([[40.0, 0, 12], [0, 42, 16], [0, 0, 1]], dtype=torch.float64)
CHANNELS = {"Alpha": 1, "Gradient": 1, "Scale": 1, "SiLog": 1, "Composite": 4}
TERMS = [
    term
    for name in losses.__all__
    if isinstance(term := getattr(losses, name), type) and issubclass(term, DenseTerm | PointTerm)
]
CONCRETE = [term for term in TERMS if term not in (DenseTerm, PointTerm)]
RELEASED = [partial(losses.NormalL1, released=True), partial(losses.AlbedoL1, released=True)]


def problem(term: Any) -> tuple[Tensor, ...]:
    """Four images, with 1, 0.5, 0.1 and none of their pixels labelled, by inputs that the term takes."""
    generator = torch.Generator().manual_seed(0)
    channels = next((count for name, count in CHANNELS.items() if term.__name__.startswith(name)), 3)
    noise, target = torch.rand((2, 4, channels, 12, 9), generator=generator, dtype=torch.float64)
    target = target + 0.5
    if term.__name__.startswith("Alpha"):
        target = target - 0.5
    if term.__name__.startswith("Normal"):
        target = normalize(target, dim=1)
    prediction = target + 0.1 * noise  # near enough that surfaces are not torn apart
    shares = torch.tensor([1.0, 0.5, 0.1, 0.0])[:, None, None, None]
    valid = torch.rand((4, 1, 12, 9), generator=generator) < shares
    inputs = (prediction.requires_grad_(), target.where(valid, torch.nan), valid)
    return (*inputs, INTRINSICS.expand(4, 3, 3)) if issubclass(term, PointTerm) else inputs


@pytest.mark.parametrize("term", CONCRETE)
def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_images(term: Any) -> None:
    inputs = problem(term)
    together = term()(*inputs)
    alone = [term()(*(part[index : index + 1] for part in inputs)) for index in range(4)]
    assert alone[3].item() == 0 and together.item() > 0
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-12, atol=1e-14)
    gradients = [torch.autograd.grad(loss, inputs[0])[0] for loss in (together, torch.stack(alone).mean())]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", RELEASED)
def test_released_terms_are_means_over_the_pixels_of_a_batch(make: Any) -> None:
    prediction, target, valid = problem(make.func)
    error = (prediction - target).abs().sum(dim=1, keepdim=True)[valid]
    torch.testing.assert_close(make(weight=1.0)(prediction, target, valid), error.mean())


def test_there_are_terms_of_every_dense_task() -> None:
    assert len(CONCRETE) >= 20
