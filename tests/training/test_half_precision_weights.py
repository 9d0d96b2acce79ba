"""Frozen layers in bfloat16: the same results under bf16-mixed, in half the memory."""

import copy

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints.fingerprint import check_identity, identify
from sapiens2_lit.errors import SettingError
from sapiens2_lit.training.adaptation import Adapt, Adaptation


@pytest.mark.parametrize("mode", ["frozen", "lora"])
def test_outputs_stay_the_same_to_the_bit(mode: str) -> None:
    torch.manual_seed(0)
    backbone, images = Sapiens2("test", (64, 48)), torch.randn(2, 3, 64, 48)
    maps = []
    for dtype in ("float32", "bfloat16"):
        own = copy.deepcopy(backbone)
        torch.manual_seed(1)  # of the adapters
        Adaptation(Adapt(mode, frozen_dtype=dtype), own)
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            maps.append(own(images)[-1])
    assert own.patch_embed.projection.weight.dtype == torch.bfloat16
    assert all(
        p.dtype == torch.float32 for name, p in own.named_parameters() if ".lora_" in name or "ln" in name
    )
    assert torch.equal(*maps)


def test_the_backbone_is_recognised_in_either_precision() -> None:
    backbone = Sapiens2("test", (64, 48))
    plain = dict(copy.deepcopy(backbone).named_parameters())
    adaptation = Adaptation(Adapt("frozen", frozen_dtype="bfloat16"), backbone)
    held = dict(backbone.named_parameters())
    identity = identify(held, "w.safetensors", adaptation.rounded)
    for tensors in (held, plain):
        check_identity(identity, tensors, "here", "last.ckpt")


def test_it_has_no_effect_on_what_is_trained_whole() -> None:
    with pytest.raises(SettingError, match="frozen_dtype has no effect with mode full"):
        Adapt("full", frozen_dtype="bfloat16")
