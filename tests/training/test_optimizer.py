"""Layer-wise learning rates and the schedule."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.training.optimizer import (
    apply_settings,
    parameter_groups,
    scale_learning_rates,
    settings_of,
    warmup_then_linear,
)


@pytest.fixture
def groups() -> tuple[Sapiens2, nn.ModuleDict, list[dict]]:
    backbone = Sapiens2("test")
    heads = nn.ModuleDict({"pose": nn.Conv2d(backbone.embed_dim, 3, 1)})
    return backbone, heads, parameter_groups(backbone, heads, layer_decay=0.5)


def test_every_trainable_parameter_is_in_exactly_one_group(groups) -> None:
    backbone, heads, found = groups
    grouped = [id(p) for group in found for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in [*backbone.parameters(), *heads.parameters()])


def test_rates_decay_from_the_heads_to_the_embeddings(groups) -> None:
    backbone, heads, found = groups
    rate = {id(p): group["lr_scale"] for group in found for p in group["params"]}
    assert rate[id(heads["pose"].weight)] == 1.0
    assert rate[id(backbone.ln1.weight)] == 1.0
    for index, block in enumerate(backbone.blocks):
        assert rate[id(block.attn.wq.weight)] == 0.5 ** (backbone.depth - index)
    assert (
        rate[id(backbone.cls_token)]
        == rate[id(backbone.patch_embed.projection.weight)]
        == 0.5 ** (backbone.depth + 1)
    )


def test_vectors_and_tokens_do_not_decay(groups) -> None:
    backbone, heads, found = groups
    spared = {id(p) for group in found if group.get("weight_decay") == 0.0 for p in group["params"]}
    named = {**dict(backbone.named_parameters()), **dict(heads.named_parameters())}
    for name, parameter in named.items():
        exempt = parameter.ndim == 1 or name in ("cls_token", "storage_tokens")
        assert (id(parameter) in spared) == exempt, name


def test_frozen_parameters_are_left_out() -> None:
    backbone = Sapiens2("test").requires_grad_(False)
    heads = nn.ModuleDict({"pose": nn.Conv2d(backbone.embed_dim, 3, 1)})
    grouped = [p for group in parameter_groups(backbone, heads, 0.9) for p in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in heads.parameters()}


def test_optimizer_takes_the_scaled_rates(groups) -> None:
    optimizer = torch.optim.AdamW(groups[2], lr=0.1, weight_decay=0.3)
    scale_learning_rates(optimizer.param_groups)
    assert {round(g["lr"] / g["lr_scale"], 9) for g in optimizer.param_groups} == {0.1}
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0.0, 0.3}


def test_schedule_warms_up_then_falls_to_zero() -> None:
    factor = warmup_then_linear(500, 10_000)
    assert factor(0) == pytest.approx(1e-3)
    assert factor(500) == 1.0
    assert factor(5250) == pytest.approx(0.5)
    assert factor(10_000) == 0.0
    values = [factor(step) for step in range(501)]
    assert values == sorted(values)


def test_short_runs_warm_up_for_a_tenth_and_endless_ones_never_fall() -> None:
    assert warmup_then_linear(500, 100)(10) == 1.0
    assert warmup_then_linear(500, 4)(0) == 1.0
    assert warmup_then_linear(500, float("inf"))(1_000_000) == 1.0


def test_rates_in_tensors_follow_the_schedule_like_numbers(groups) -> None:
    """As torchao's optimizers keep them, whose steps insist on finding the tensor again."""
    torchao = pytest.importorskip("torchao.optim")
    rates = {}
    for make in (torch.optim.AdamW, torchao.AdamW8bit):
        optimizer = make([dict(group) for group in groups[2]], lr=0.1)
        scale_learning_rates(optimizer.param_groups)
        settings = settings_of(optimizer)
        kinds = [type(group["lr"]) for group in optimizer.param_groups]
        schedule = LambdaLR(optimizer, warmup_then_linear(3, 100))
        apply_settings(optimizer, schedule, settings)
        found = [[float(group["lr"]) for group in optimizer.param_groups]]
        for _ in range(5):
            optimizer._opt_called = True  # type: ignore[attr-defined]  # what LambdaLR looks at before it warns
            schedule.step()
            found.append([float(group["lr"]) for group in optimizer.param_groups])
        assert [type(group["lr"]) for group in optimizer.param_groups] == kinds
        assert max(group["initial_lr"] for group in optimizer.param_groups) == pytest.approx(0.1)
        rates[make] = torch.tensor(found)
    torch.testing.assert_close(rates[torchao.AdamW8bit], rates[torch.optim.AdamW])
    assert float(rates[torchao.AdamW8bit][3].max()) == pytest.approx(0.1)
