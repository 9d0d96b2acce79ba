"""Averages of the weights."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from tiny_runs import fit, make

from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.ema import EMA


def test_average_follows_its_formula_is_validated_and_saved(pretrained: Path, tmp_path: Path) -> None:
    module = make(pretrained / "model.safetensors", Adapt("frozen"), ema=EMA(decay=0.5))
    module.configure_model()
    name = "heads.normal.conv_normal.bias"
    history = [module.get_parameter(name).detach().clone()]
    seen: list[torch.Tensor] = []

    class Record(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
            history.append(pl_module.get_parameter(name).detach().clone())

        def on_validation_batch_start(
            self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any
        ) -> None:
            seen.append(pl_module.get_parameter(name).detach().clone())

    _, saved = fit(module, tmp_path, 3, callbacks=(Record(),))
    average = history[0]
    for step, weights in enumerate(history[1:], start=1):
        kept = min(0.5, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * weights
    torch.testing.assert_close(seen[-1], average)
    assert torch.equal(module.get_parameter(name), history[-1])
    torch.testing.assert_close(read_weights(saved).tensors[name], average)
    assert torch.equal(read_weights(saved, ema=False).tensors[name], history[-1])
    resumed = make(pretrained / "model.safetensors", Adapt("frozen"), ema=EMA(decay=0.5))
    fit(resumed, tmp_path, 5, saved)
    whole = make(pretrained / "model.safetensors", Adapt("frozen"), ema=EMA(decay=0.5))
    fit(whole, tmp_path, 5)
    torch.testing.assert_close(whole.state_dict(), resumed.state_dict(), rtol=0, atol=0)


def test_checkpoint_written_while_the_average_is_in_place_is_right(pretrained: Path, tmp_path: Path) -> None:
    module = make(pretrained / "model.safetensors", Adapt("frozen"), ema=EMA(decay=0.5))
    fit(module, tmp_path, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.swap_ema(True)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


def test_averages_may_come_and_go_on_resume(pretrained: Path, tmp_path: Path) -> None:
    weights = pretrained / "model.safetensors"
    _, plain = fit(make(weights, Adapt("frozen")), tmp_path, 1)
    with_average = make(weights, Adapt("frozen"), ema=EMA())
    _, averaged = fit(with_average, tmp_path, 2, plain)
    without = make(weights, Adapt("frozen"))
    fit(without, tmp_path, 3, averaged)
    assert without.ema is None
