"""What of the backbone is trained, and what a checkpoint then holds."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader

from sapiens2_lit.adapt import Adapt, Adaptation, adapt_from_dict
from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import read_meta, read_weights
from sapiens2_lit.ema import EMA
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads import NormalHead
from sapiens2_lit.lora import LoRA, merge_state
from sapiens2_lit.module import SapiensModule

DEPTH = Sapiens2("test").depth


PLANNED_STEPS = 8  # of every run's learning-rate schedule, wherever it stops


class Pictures(L.LightningDataModule):
    """Two samples with normals, one step an epoch."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8, generator=random)
        normals = nn.functional.normalize(torch.randn(2, 3, 64, 48, generator=random), dim=1)
        self.datasets = {
            "train": [
                {"image": image, "normal": normal, "sample": str(index)}
                for index, (image, normal) in enumerate(zip(images, normals, strict=True))
            ]
        }

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.datasets["train"], batch_size=2)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.datasets["train"], batch_size=2)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny backbone, and of another one in `other.safetensors`."""
    folder = tmp_path_factory.mktemp("pretrained")
    for name, seed in (("model", 1), ("other", 2)):
        torch.manual_seed(seed)
        save_file(Sapiens2("test").state_dict(), folder / f"{name}.safetensors")
    return folder


def make(pretrained: Path | None, adapt: Adapt, **settings: Any) -> SapiensModule:
    torch.manual_seed(0)
    backbone = partial(Sapiens2, "test", weights=str(pretrained) if pretrained else None)
    optimizer = partial(torch.optim.AdamW, lr=1e-2)
    return SapiensModule(
        backbone,
        {"normal": partial(NormalHead)},
        adapt=adapt,
        optimizer=optimizer,
        flip_test=False,
        **settings,
    )


class Stop(L.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.step


def fit(
    module: SapiensModule,
    folder: Path,
    steps: int,
    resume: Path | None = None,
    callbacks: tuple[L.Callback, ...] = (),
) -> tuple[L.Trainer, Path]:
    trainer = L.Trainer(
        accelerator="cpu", max_steps=PLANNED_STEPS, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[*callbacks, Stop(steps)],
    )  # fmt: skip
    trainer.fit(module, Pictures(), ckpt_path=resume, weights_only=True)
    saved = folder / f"{steps}.ckpt"
    trainer.save_checkpoint(saved)
    return trainer, saved


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("mode", ["frozen", "last", "full", "lora"])
def test_only_what_the_mode_says_learns(mode: Any, pretrained: Path, tmp_path: Path) -> None:
    adapt = Adapt(mode, last=1 if mode == "last" else None, lora=LoRA(rank=2) if mode == "lora" else LoRA())
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
    elif mode == "last":
        assert backbone == {
            name for name in before if name.startswith((f"backbone.blocks.{DEPTH - 1}.", "backbone.ln1."))
        }
    elif mode == "full":
        assert backbone == {name for name in before if name.startswith("backbone.")}
    else:
        assert backbone == {name for name in before if ".lora_" in name}


def test_norms_and_tokens_learn_besides(pretrained: Path) -> None:
    backbone = Sapiens2("test")
    adaptation = Adaptation(Adapt("frozen", extra=["norms", "tokens"]), backbone)
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
        ({"mode": "last"}, "last"),
        ({"mode": "frozen", "last": 2}, "last"),
        ({"mode": "full", "lora": LoRA(rank=4)}, "lora"),
        ({"mode": "full", "extra": ["norms"]}, "extra"),
        ({"mode": "lora", "schedule": {5: 1}}, "schedule"),
        ({"mode": "frozen", "schedule": {0: 1}}, "schedule"),
    ],
)
def test_settings_without_effect_are_errors(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=rf"model\.adapt\.{named}"):
        Adapt(**settings)


def test_more_blocks_than_there_are_is_an_error() -> None:
    with pytest.raises(SettingError, match=f"the backbone has {DEPTH}"):
        Adaptation(Adapt("last", last=DEPTH + 1), Sapiens2("test"))


def test_unknown_lora_target_lists_the_layers() -> None:
    with pytest.raises(SettingError, match=r"'query'.*proj.*wq"):
        Adaptation(Adapt("lora", lora=LoRA(targets=["query"])), Sapiens2("test"))


def test_settings_survive_a_checkpoint() -> None:
    adapt = Adapt("frozen", extra=["tokens"], schedule={3: 1, 9: "all"})
    assert adapt_from_dict(copy.deepcopy(adapt.to_dict())) == adapt


def test_schedule_unfreezes_at_its_step_and_exactly_after_resume(pretrained: Path, tmp_path: Path) -> None:
    adapt = Adapt("frozen", schedule={2: 1, 4: "all"})

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
    module.use_average(True)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


def test_averages_may_come_and_go_on_resume(pretrained: Path, tmp_path: Path) -> None:
    weights = pretrained / "model.safetensors"
    _, plain = fit(make(weights, Adapt("frozen")), tmp_path, 1)
    with_average = make(weights, Adapt("frozen"), ema=EMA())
    _, averaged = fit(with_average, tmp_path, 2, plain)
    without = make(weights, Adapt("frozen"))
    fit(without, tmp_path, 3, averaged)
    assert without.ema is None


def test_settings_reach_the_checkpoint(pretrained: Path, tmp_path: Path) -> None:
    _, saved = fit(make(pretrained / "model.safetensors", Adapt("lora", lora=LoRA(rank=3))), tmp_path, 1)
    meta = read_meta(saved)
    assert meta["adapt"]["lora"]["rank"] == 3
    assert meta["backbone"]["weights"] == str(pretrained / "model.safetensors")


def test_optimizer_with_8_bit_states_learns_and_resumes_exactly(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With layer-wise groups. Its step is not compiled here: that takes minutes on a CPU and changes no result."""
    optim = pytest.importorskip("torchao.optim")
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)

    def new(optimizer: Any) -> SapiensModule:
        module = make(pretrained / "model.safetensors", Adapt("full"))
        module.optimizer = partial(optimizer, lr=1e-2, weight_decay=0.1)
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
