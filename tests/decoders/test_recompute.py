"""Decoders that compute maps again give the same outputs and gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sapiens2_lit.decoders import RECOMPUTE, DeconvDecoder, units_of
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import AlbedoHead, LinearHead, NormalHead, PointmapHead, PoseHead, SMPHead
from sapiens2_lit.heads.base import DecoderHead, set_recompute

WIDTH, GRID = 32, (4, 3)


@pytest.mark.parametrize("recompute", [how for how in RECOMPUTE if how != "none"])
@pytest.mark.parametrize(
    "make", [PoseHead, NormalHead, AlbedoHead, PointmapHead], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("autocast", [False, True])
def test_same_outputs_and_gradients(make: Callable[..., DecoderHead], recompute: str, autocast: bool) -> None:
    torch.manual_seed(0)
    head = make(WIDTH, image_size=(64, 48)) if make is PointmapHead else make(WIDTH)
    features = torch.randn(3, WIDTH, *GRID)
    results = []
    for how in ("none", recompute):
        set_recompute({"head": head}, how)
        head.zero_grad()
        x = features.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = head([x])
        tensors = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
        sum(tensor.float().square().mean() for tensor in tensors).backward()
        results.append([*tensors, x.grad, *(p.grad for p in head.parameters())])
    for kept, again in zip(*results, strict=True):
        assert kept is not None and again is not None
        # under autocast, gradients of single samples are rounded before they are added up
        tolerance = 0.02 if autocast else 1e-5
        assert (kept - again).norm() <= tolerance * kept.norm() + 1e-7


@pytest.mark.parametrize("make", [LinearHead, lambda width: SMPHead(width, channels=8)])
def test_batch_norms_are_refused(make: Callable[[int], DecoderHead]) -> None:
    with pytest.raises(
        SettingError, match=r"model.head_checkpointing: stages cannot be used with head seg.*batch norms"
    ):
        set_recompute({"seg": make(WIDTH)}, "stages")


def test_other_heads_and_other_words_are_refused() -> None:
    with pytest.raises(SettingError, match="is not a DecoderHead"):
        set_recompute({"mine": nn.Identity()}, "samples")
    with pytest.raises(SettingError, match="found 'all', expected one of none, stages, samples"):
        set_recompute({}, "all")


def test_units_begin_at_convolutions() -> None:
    decoder = DeconvDecoder(8, (8, 4), (4,), 2, "conv_out")
    names = [[type(layer).__name__ for layer in unit] for unit in units_of(decoder)]
    up, flat = ["ConvTranspose2d", "InstanceNorm2d", "SiLU"], ["Conv2d", "InstanceNorm2d", "SiLU"]
    assert names == [up, up, flat, ["Conv2d"]]
