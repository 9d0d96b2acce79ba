"""Maps that are computed again: the same values and gradients, and a third of what was kept."""

import pytest
import torch
from torch import nn

from sapiens2_lit.building import recompute
from sapiens2_lit.decoders.again import units
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import LinearHead, NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.heads.base import Head


def step(head: Head) -> tuple[list[torch.Tensor], int]:
    """Outputs and gradients, and how many bytes were kept between forward and backward pass."""
    features = torch.randn(2, 32, 16, 12, generator=torch.Generator().manual_seed(1)).requires_grad_()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    own = {parameter.untyped_storage().data_ptr() for parameter in head.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = head([features])
    assert isinstance(outputs, torch.Tensor)
    size = sum(number for pointer, number in kept.items() if pointer not in own)
    outputs.square().sum().backward()
    assert features.grad is not None
    gradients = [parameter.grad for parameter in head.parameters() if parameter.grad is not None]
    return [outputs.detach(), features.grad, *gradients], size


@pytest.mark.parametrize(
    "make", [lambda: PoseHead(32, "coco17"), lambda: NormalHead(32), lambda: SegmentationHead(32)]
)
def test_values_and_gradients_are_the_same(make) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    head = make()
    expected, kept = step(head)
    head.zero_grad()
    recompute({"it": head})
    found, kept_again = step(head)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert kept_again < 0.5 * kept


def test_units_begin_with_a_convolution() -> None:
    conv, norm, act = nn.Conv2d(1, 1, 1), nn.InstanceNorm2d(1), nn.SiLU()
    chain = nn.Sequential(nn.Sequential(conv, norm, act), nn.Sequential(conv, nn.PixelShuffle(1), norm))
    assert [[type(layer).__name__ for layer in unit] for unit in units(chain)] == [
        ["Conv2d", "InstanceNorm2d", "SiLU"],
        ["Conv2d", "PixelShuffle", "InstanceNorm2d"],
    ]


def test_a_head_without_a_decoder_of_ours_says_so() -> None:
    with pytest.raises(SettingError, match=r"recompute_heads: LinearHead \(heads.probe\)"):
        recompute({"probe": LinearHead(32)})
