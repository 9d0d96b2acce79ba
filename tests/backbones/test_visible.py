"""Some patches alone: at their own positions, and without a trace of the others."""

from functools import partial

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.backbones.sapiens2 import PREFIX


@pytest.fixture(params=[False, True], ids=["plain", "4k"])
def backbone(request: pytest.FixtureRequest) -> Sapiens2:
    torch.manual_seed(0)
    size = (256, 192) if request.param else (64, 48)
    return Sapiens2("tiny", size, window_tokenizer=request.param).eval()


@torch.no_grad()
@pytest.mark.parametrize("rope_dtype", ["float32", "bfloat16"])
def test_all_patches_in_any_order_are_the_plain_forward(backbone: Sapiens2, rope_dtype: str) -> None:
    backbone.rope_dtype = getattr(torch, rope_dtype)
    # sums in another order, which queries and keys rounded to bfloat16 magnify
    tolerance = {"rtol": 1e-5, "atol": 2e-6} if rope_dtype == "float32" else {"rtol": 0, "atol": 1e-2}
    images = torch.randn(2, 3, *backbone.image_size)
    order = torch.stack([torch.randperm(12, generator=torch.Generator().manual_seed(i)) for i in range(2)])
    plain = backbone.forward_tokens(images)
    found = backbone.forward_visible(images, order)
    torch.testing.assert_close(found[:, :PREFIX], plain[:, :PREFIX], **tolerance)
    expected = plain[:, PREFIX:].gather(1, order[..., None].expand(-1, -1, 64))
    torch.testing.assert_close(found[:, PREFIX:], expected, **tolerance)


@torch.no_grad()
def test_pixels_of_masked_patches_change_nothing(backbone: Sapiens2) -> None:
    images = torch.randn(1, 3, *backbone.image_size)
    visible = torch.tensor([[0, 5, 10]])
    before = backbone.forward_visible(images, visible)
    side = backbone.patch_size
    for patch in set(range(12)) - {0, 5, 10}:
        row, column = divmod(patch, 3)
        images[..., row * side : (row + 1) * side, column * side : (column + 1) * side] = 1e3
    assert torch.equal(backbone.forward_visible(images, visible), before)


def test_gradients_are_the_same_with_activation_checkpointing() -> None:
    make = partial(Sapiens2, "test", (64, 48))
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        backbone = make(activation_checkpointing=again)
        images = torch.randn(2, 3, 64, 48)
        backbone.forward_visible(images, torch.tensor([[0, 3, 4], [11, 2, 1]])).square().sum().backward()
        found.append([parameter.grad for parameter in backbone.parameters()])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other)
