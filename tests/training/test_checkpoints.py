"""What a checkpoint of an adapted model holds, and that runs go on from it exactly."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import changed, fit, make, values
from torch import nn
from torch.utils._pytree import tree_leaves

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import read_meta, read_weights
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.lora import LoRA, merge_state
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule

DEPTH = Sapiens2("test").depth


def test_schedule_unfreezes_at_its_step_and_exactly_after_resume(pretrained: Path, tmp_path: Path) -> None:
    adapt = Adapt("frozen", unfreeze_at={2: 1, 4: "all"})

    def new() -> SapiensModule:
        module = make(pretrained / "model.safetensors", adapt)
        module.configure_model()
        return module

    whole = new()
    before = values(whole)
    fit(whole, tmp_path, 6)
    parts, resume = new(), None
    for steps, prefixes in ((2, ()), (3, (f"blocks.{DEPTH - 1}.", "ln1.")), (6, ("",))):
        parts = parts if resume is None else make(pretrained / "model.safetensors", adapt)
        _, resume = fit(parts, tmp_path, steps, resume)
        learned = {n.removeprefix("backbone.") for n in changed(before, parts) if n.startswith("backbone.")}
        everything = {n.removeprefix("backbone.") for n in before if n.startswith("backbone.")}
        assert learned == {name for name in everything if prefixes and name.startswith(prefixes)}
    torch.testing.assert_close(values(parts), values(whole), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["frozen", "lora"])
def test_checkpoint_holds_what_was_trained_and_resumes_exactly(
    mode: Any, pretrained: Path, tmp_path: Path
) -> None:
    weights = pretrained / "model.safetensors"
    _, half = fit(make(weights, Adapt(mode)), tmp_path, 2)
    stored = torch.load(half, weights_only=True)["state_dict"]
    trained = {
        name for name in stored if name.startswith("backbone.") and name != "backbone.rope_embed.periods"
    }
    assert all(".lora_" in name for name in trained)
    assert bool(trained) == (mode == "lora")
    resumed = make(weights, Adapt())  # auto takes what the checkpoint says
    fit(resumed, tmp_path, 4, half)
    whole = make(weights, Adapt(mode))
    fit(whole, tmp_path, 4)
    torch.testing.assert_close(values(resumed), values(whole), rtol=0, atol=0)


def test_wrong_backbone_is_an_error(pretrained: Path, tmp_path: Path) -> None:
    _, saved = fit(make(pretrained / "model.safetensors", Adapt("frozen")), tmp_path, 1)
    with pytest.raises(WeightsError, match="other values"):
        fit(make(pretrained / "other.safetensors", Adapt("frozen")), tmp_path, 2, saved)
    with pytest.raises(WeightsError, match="other values"):
        read_weights(saved, backbone=str(pretrained / "other.safetensors"))


def test_another_mode_than_the_checkpoints_is_an_error(pretrained: Path, tmp_path: Path) -> None:
    weights = pretrained / "model.safetensors"
    _, saved = fit(make(weights, Adapt("frozen")), tmp_path, 1)
    with pytest.raises(SettingError, match=r"mode is full, but was frozen when .*--model\.weights"):
        fit(make(weights, Adapt("full")), tmp_path, 2, saved)


def test_whole_model_comes_out_of_a_partial_checkpoint(pretrained: Path, tmp_path: Path) -> None:
    """Also where the backbone's file has moved."""
    weights = tmp_path / "moved.safetensors"
    weights.write_bytes((pretrained / "model.safetensors").read_bytes())
    module = make(weights, Adapt("frozen"))
    _, saved = fit(module, tmp_path, 1)
    expected = dict(nn.Module.state_dict(module))
    torch.testing.assert_close(read_weights(saved).tensors, expected, rtol=0, atol=0)
    weights.unlink()
    with pytest.raises(WeightsError, match="backbone that it belongs to was not found"):
        read_weights(saved)
    found = read_weights(saved, backbone=str(pretrained / "model.safetensors")).tensors
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_merged_adapters_compute_the_same(pretrained: Path, tmp_path: Path) -> None:
    weights = pretrained / "model.safetensors"
    module = make(weights, Adapt("lora", lora=LoRA(rank=2, alpha=6)))
    _, saved = fit(module, tmp_path, 3)
    plain = make(None, Adapt("full"), weights=str(saved))
    plain.configure_model()
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(images), module.eval()(images), rtol=1e-5, atol=1e-5)
    untouched = Sapiens2("test", weights=str(weights)).state_dict()
    merged = merge_state(nn.Module.state_dict(module.backbone), scale=3.0)
    assert merged.keys() == untouched.keys()
    assert not torch.equal(merged["blocks.0.attn.wq.weight"], untouched["blocks.0.attn.wq.weight"])


def test_settings_reach_the_checkpoint(pretrained: Path, tmp_path: Path) -> None:
    _, saved = fit(make(pretrained / "model.safetensors", Adapt("lora", lora=LoRA(rank=3))), tmp_path, 1)
    meta = read_meta(saved)
    assert meta["adapt"]["lora"]["rank"] == 3
    assert meta["backbone"]["weights"] == str(pretrained / "model.safetensors")


@pytest.mark.slow
def test_optimizer_with_8_bit_states_learns_and_resumes_exactly(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With layer-wise groups. Its step is not compiled here: that takes minutes on a CPU and changes no result."""
    optim = pytest.importorskip("torchao.optim")
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)

    def new(optimizer: Any) -> SapiensModule:
        module = make(pretrained / "model.safetensors", Adapt("full"))
        module.optimization.optimizer = partial(optimizer, lr=1e-2, weight_decay=0.1)
        module.configure_model()  # now, so that all have the same fresh heads
        return module

    exact, whole, first, second = (new(kind) for kind in (torch.optim.AdamW, *[optim.AdamW8bit] * 3))
    before = values(whole)
    fit(exact, tmp_path, 4)
    trainer, _ = fit(whole, tmp_path, 4)
    states = trainer.optimizers[0].state.values()
    assert any(type(state["exp_avg"]).__name__ == "OptimState8bit" for state in states)
    moved, error = (
        torch.cat([(value - other[name]).flatten() for name, value in values(whole).items()]).norm()
        for other in (before, values(exact))
    )
    assert error < 0.2 * moved
    _, half = fit(first, tmp_path, 2)
    fit(second, tmp_path, 4, half)
    torch.testing.assert_close(values(second), values(whole), rtol=0, atol=0)
    stored = tree_leaves(torch.load(half, weights_only=True)["optimizer_states"])
    assert {type(leaf) for leaf in stored if isinstance(leaf, torch.Tensor)} == {torch.Tensor}, (
        "torch alone reads it"
    )
