"""What of the backbone is trained."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import changed, fit, make, values

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.errors import SettingError
from sapiens2_lit.lora import LoRA
from sapiens2_lit.training.adaptation import Adapt, Adaptation, adapt_from_dict

DEPTH = Sapiens2("test").depth


@pytest.mark.parametrize("mode", ["frozen", "last_blocks", "full", "lora"])
def test_only_what_the_mode_says_learns(mode: Any, pretrained: Path, tmp_path: Path) -> None:
    adapt = Adapt(
        mode, last=1 if mode == "last_blocks" else None, lora=LoRA(rank=2) if mode == "lora" else LoRA()
    )
    module = make(pretrained / "model.safetensors", adapt)
    module.configure_model()
    before = values(module)
    fit(module, tmp_path, 2)
    learned = changed(before, module)
    heads = {name for name in before if name.startswith("heads.")}
    backbone = learned - heads
    assert learned >= heads
    assert module.backbone is not None
    if mode == "frozen":
        assert not backbone
        assert not module.backbone.training
        assert not module.features(torch.zeros(1, 3, 64, 48, dtype=torch.uint8))[-1].requires_grad
    elif mode == "last_blocks":
        assert backbone == {
            name for name in before if name.startswith((f"backbone.blocks.{DEPTH - 1}.", "backbone.ln1."))
        }
    elif mode == "full":
        assert backbone == {name for name in before if name.startswith("backbone.")}
    else:
        assert backbone == {name for name in before if ".lora_" in name}


def test_norms_and_tokens_learn_besides(pretrained: Path) -> None:
    backbone = Sapiens2("test")
    adaptation = Adaptation(Adapt("frozen", also_train=["norms", "tokens"]), backbone)
    assert {"cls_token", "storage_tokens", "ln1.weight", "blocks.0.attn.q_norm.weight"} <= set(
        adaptation.starts
    )
    assert not any(name.endswith(("proj.weight", "bias", "gamma.weight")) for name in adaptation.starts)


@pytest.mark.parametrize(
    ("samples", "weights", "expected"), [(500, True, "frozen"), (500, False, "full"), (1000, True, "full")]
)
def test_auto_freezes_pretrained_backbones_on_small_data(samples: int, weights: bool, expected: str) -> None:
    assert Adapt().resolve(weights, samples).mode == expected


def test_auto_freezes_in_a_run(pretrained: Path, tmp_path: Path) -> None:
    module = make(pretrained / "model.safetensors", Adapt())
    fit(module, tmp_path, 1)
    assert module.adaptation is not None
    assert module.adaptation.adapt.mode == "frozen"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "last_blocks"}, "last"),
        ({"mode": "frozen", "last": 2}, "last"),
        ({"mode": "full", "lora": LoRA(rank=4)}, "lora"),
        ({"mode": "full", "also_train": ["norms"]}, "also_train"),
        ({"mode": "lora", "unfreeze_at": {5: 1}}, "unfreeze_at"),
        ({"mode": "frozen", "unfreeze_at": {0: 1}}, "unfreeze_at"),
    ],
)
def test_settings_without_effect_are_errors(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=rf"model\.adapt\.{named}"):
        Adapt(**settings)


def test_more_blocks_than_there_are_is_an_error() -> None:
    with pytest.raises(SettingError, match=f"the backbone has {DEPTH}"):
        Adaptation(Adapt("last_blocks", last=DEPTH + 1), Sapiens2("test"))


def test_unknown_lora_target_lists_the_layers() -> None:
    with pytest.raises(SettingError, match=r"'query'.*proj.*wq"):
        Adaptation(Adapt("lora", lora=LoRA(targets=["query"])), Sapiens2("test"))


def test_settings_survive_a_checkpoint() -> None:
    adapt = Adapt("frozen", also_train=["tokens"], unfreeze_at={3: 1, 9: "all"})
    assert adapt_from_dict(copy.deepcopy(adapt.to_dict())) == adapt
