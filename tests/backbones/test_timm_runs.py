"""Networks of timm in a training: adapted, planned, cached, resumed and exported as Sapiens2 is."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from test_timm import TINY, tiny
from torch import nn

from sapiens2_lit.backbones import TimmBackbone
from sapiens2_lit.callbacks import FeatureCache
from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.heads import PoseHead
from sapiens2_lit.lora import LoRA, is_lora
from sapiens2_lit.memory.flops import training_flops
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.memory.step import simulate_step
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.adaptation import Adapt, Adaptation, adapt_from_dict
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.optimizer import parameter_groups

pytest.importorskip("timm")
THREE = ["dinov3", "dinov2", "siglip2"]


def module(family: str, adapt: Adapt, **settings: Any) -> SapiensModule:
    torch.manual_seed(0)
    return SapiensModule(
        partial(tiny, family, **settings),
        {"pose": partial(PoseHead, skeleton="coco17")},
        adapt=adapt,
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        flip_test=False,
    )


@pytest.mark.parametrize("family", [*THREE, "convnext", "swin"])
def test_the_last_blocks_alone_are_trained(family: str) -> None:
    backbone = tiny(family)
    Adaptation(Adapt("last_blocks", last=2), backbone)
    learns = {id(p) for p in backbone.parameters() if p.requires_grad}
    for number, block in enumerate(backbone.blocks):
        assert all((id(p) in learns) == (number >= backbone.depth - 2) for p in block.parameters())
    named = dict(backbone.named_parameters())
    assert not any(p.requires_grad for name, p in named.items() if backbone.layer_depth(name) == 0)
    assert all(
        p.requires_grad for name, p in named.items() if backbone.layer_depth(name) == backbone.depth + 1
    )


@pytest.mark.parametrize("family", [*THREE, "swin"])
def test_adapters_stand_beside_all_linear_layers_of_blocks_and_act(family: str) -> None:
    pytest.importorskip("peft")
    backbone = tiny(family).eval()
    layers = sum(isinstance(one, nn.Linear) for block in backbone.blocks for one in block.modules())
    images = torch.randn(1, 3, 64, 32)
    Adaptation(Adapt("lora", lora=LoRA(rank=2)), backbone)
    adapters = {name: p for name, p in backbone.named_parameters() if is_lora(name)}
    assert len(adapters) >= 2 * layers
    assert {name for name, p in backbone.named_parameters() if p.requires_grad} == adapters.keys()
    backbone(images)[0].square().sum().backward()
    idle = [name for name, p in adapters.items() if "lora_B" in name and not p.grad.any()]
    assert idle == []


def test_adapters_on_queries_with_a_bias_of_their_own_act() -> None:
    """timm's fused queries with such a bias pass their linear layer by, unless told otherwise."""
    pytest.importorskip("peft")
    torch.manual_seed(0)
    backbone = TimmBackbone("vit_small_patch16_dinov3_qkvb", (64, 32), model_args=TINY).eval()
    Adaptation(Adapt("lora", lora=LoRA(rank=2, targets=["qkv"])), backbone)
    backbone(torch.randn(1, 3, 64, 32))[0].square().sum().backward()
    assert all(p.grad.any() for name, p in backbone.named_parameters() if "lora_B" in name)


def test_adapters_of_older_checkpoints_are_those_of_today() -> None:
    older = Adapt("lora").to_dict()
    older["lora"]["targets"] = ["wq", "wk", "wv", "proj", "w12", "w3"]
    assert adapt_from_dict(older) == Adapt("lora")


@pytest.mark.parametrize("family", [*THREE, "convnext"])
def test_learning_rates_decay_with_the_distance_from_the_heads(family: str) -> None:
    backbone = tiny(family)
    groups = parameter_groups(backbone, nn.ModuleDict(), 0.5)
    rates = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    for name, parameter in backbone.named_parameters():
        depth = min(backbone.layer_depth(name), backbone.depth + 1)
        assert rates[id(parameter)] == 0.5 ** (backbone.depth + 1 - depth)


@pytest.mark.parametrize(
    ("family", "checkpointing"), [("dinov3", True), ("dinov2", False), ("siglip2", True)]
)
def test_a_plan_plays_one_block_for_all_equal_ones(family: str, checkpointing: bool) -> None:
    networks = empty_networks(module(family, Adapt("full"), activation_checkpointing=checkpointing))
    moments = [simulate_step(networks.network, 2, (64, 32), fold=fold) for fold in (True, False)]
    fullest = [max(parts.total() for parts in one.values()) for one in moments]
    assert fullest[0] == pytest.approx(fullest[1], rel=0.005)


@pytest.mark.parametrize("family", ["dinov3", "siglip2"])
def test_operations_of_a_step_are_counted(family: str) -> None:
    counted = [
        training_flops(
            empty_networks(module(family, Adapt(mode)), checkpointing=False, head_checkpointing="none"),
            (64, 32),
        ).backbone
        for mode in ("full", "frozen")
    ]
    assert 2.4 < counted[0] / counted[1] < 3.1


@pytest.mark.parametrize("family", [*THREE, "convnext"])
def test_blocks_are_compiled_one_by_one(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, *_, **__: compiled.append(self))
    backbone = tiny(family)
    network = Network(backbone, {"pose": PoseHead(backbone.embed_dim, "coco17")})
    network.compile_parts()
    assert compiled == [*backbone.blocks, network.heads["pose"]]
    assert len(backbone.blocks) == backbone.depth > 1


@pytest.mark.parametrize("family", THREE)
def test_a_frozen_one_teaches_from_stored_features_and_its_checkpoint_is_whole(
    family: str, figures: Path, tmp_path: Path
) -> None:
    passes = 0
    torch.save(tiny(family).model.state_dict(), tmp_path / "weights.pt")
    trained = module(family, Adapt("frozen"), weights=str(tmp_path / "weights.pt"))
    compute = trained.features

    def counted(images: torch.Tensor) -> list[torch.Tensor]:
        nonlocal passes
        passes += len(images)
        return compute(images)

    trained.features = counted  # type: ignore[method-assign]
    data = PoseDataModule(
        str(figures), skeleton="coco17", image_size=(64, 32), batch_size=4, num_workers=0, augment=None
    )
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, callbacks=[FeatureCache(str(tmp_path / "cache"))],
        default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(trained, data)
    assert passes <= 12 + 1, "the second epoch reads what the first computed; one more to know the shape"
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    held = read_weights(tmp_path / "last.ckpt").tensors
    assert {f"backbone.{name}" for name in tiny(family).state_dict()} <= held.keys()
