"""Compiled in place, then sharded: blocks keep their names, values and gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.errors import SettingError
from sapiens2_lit.models.build import shard_backbone
from sapiens2_lit.parallel import compile_blocks, local_values
from sapiens2_lit.parallel.sharding import Sharding


@pytest.mark.parametrize("again", [False, True])
def test_compiled_and_sharded_is_plain(
    again: bool, fake_ranks: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = nn.Module.compile
    # What is tested is how hooks and graphs go together, not a backend's code, which takes minutes to make.
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled(module, backend="eager"))
    plain, model = (Sapiens2("test", (64, 64), activation_checkpointing=again) for _ in range(2))
    model.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with fake_ranks(1):
        compile_blocks(model.blocks)
        shard_backbone(Sharding(init_device_mesh("cpu", (1,))), model)
        assert model.state_dict().keys() == plain.state_dict().keys()
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        (found,), (expected,) = model(images), plain(images)
        torch.testing.assert_close(found, expected)
        for features in (found, expected):
            features.square().mean().backward()
        for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            assert ours.grad is not None
            torch.testing.assert_close(local_values(ours.grad), theirs.grad)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    assert not torch._dynamo.utils.counters["graph_break"]


@pytest.mark.parametrize("mode", [2, "selective"])
def test_modes_of_checkpointing_change_no_value(mode: Any) -> None:
    plain = Sapiens2("test", (64, 64))
    model = Sapiens2("test", (64, 64), activation_checkpointing=mode)
    model.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 64, 64)
    for each in (plain, model):
        each(images)[-1].square().mean().backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("mode", [-1, "some", 1.5])
def test_unknown_modes_are_refused(mode: Any) -> None:
    with pytest.raises(SettingError, match="activation_checkpointing: found"):
        Sapiens2("test", (64, 64), activation_checkpointing=mode)
