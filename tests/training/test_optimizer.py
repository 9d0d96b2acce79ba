"""Layer-wise learning rates and the schedule."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.training.optimizer import (
    ADAMW,
    apply_settings,
    fuse,
    move_steps,
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


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPUs have the fused kernel as well."""
    monkeypatch.setattr("sapiens2_lit.training.optimizer.on_cuda", lambda parameters: True)


def optimizer_of(make: Any) -> torch.optim.Optimizer:
    torch.manual_seed(0)
    return make([{"params": [nn.Parameter(torch.randn(4, 3))]}, {"params": [nn.Parameter(torch.randn(2))]}])


def step(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = parameter.detach().sin()
    optimizer.step()
    return [parameter.detach().clone() for parameter in parameters]


def test_a_cpu_has_the_plain_step() -> None:
    optimizer = optimizer_of(ADAMW)
    fuse(optimizer)
    assert not any(group["fused"] for group in optimizer.param_groups)


@pytest.mark.usefixtures("as_on_cuda")
def test_adamw_is_fused_on_cuda_and_learns_the_same() -> None:
    plain, fused = optimizer_of(ADAMW), optimizer_of(ADAMW)
    fuse(fused)
    assert all(group["fused"] for group in fused.param_groups)
    for _ in range(3):
        for a, b in zip(step(plain), step(fused), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("as_on_cuda")
@pytest.mark.parametrize("setting", [{"fused": False}, {"foreach": True}, {"foreach": False}])
def test_what_the_user_says_of_it_counts(setting: dict[str, bool]) -> None:
    optimizer = optimizer_of(partial(ADAMW, **setting))
    fuse(optimizer)
    assert not any(group["fused"] for group in optimizer.param_groups)


@pytest.mark.usefixtures("as_on_cuda")
def test_other_optimizers_are_left_alone() -> None:
    optimizer = optimizer_of(partial(torch.optim.SGD, lr=0.1))
    fuse(optimizer)
    assert not any(group.get("fused") for group in optimizer.param_groups)


@pytest.mark.usefixtures("as_on_cuda")
def test_a_checkpoint_of_the_plain_step_goes_on_fused() -> None:
    plain, fused = optimizer_of(ADAMW), optimizer_of(ADAMW)
    fuse(fused)
    settings = settings_of(fused)
    step(plain)
    state = copy.deepcopy(plain.state_dict())
    for saved in state["state"].values():
        saved["step"] = saved["step"].to(torch.int64)  # the kernel wants float32
    fused.load_state_dict(state)
    for a, b in zip(fused.param_groups, plain.param_groups, strict=True):
        for mine, theirs in zip(a["params"], b["params"], strict=True):
            mine.data.copy_(theirs.data)
    apply_settings(fused, LambdaLR(fused, lambda step: 1.0), settings)
    move_steps(fused)
    assert all(group["fused"] for group in fused.param_groups)
    for a, b in zip(step(plain), step(fused), strict=True):
        torch.testing.assert_close(a, b)
