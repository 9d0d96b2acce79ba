"""The norm over sharded and plain gradients; several ranks are compared with one in test_training.py."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from sapiens2_lit.parallel import clip_gradients, clip_values
from sapiens2_lit.parallel.dtensor import is_sharded, local_values
from sapiens2_lit.parallel.sharding import Sharding


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))


def learn(model: nn.Module) -> list[nn.Parameter]:
    model(torch.arange(12.0).reshape(2, 6)).square().sum().backward()
    return list(model.parameters())


@pytest.mark.parametrize("limit", [0.5, 1e9])
def test_sharded_and_plain_gradients_are_one_vector(limit: float, fake_ranks: Callable[..., Any]) -> None:
    plain = learn(network())
    expected = nn.utils.clip_grad_norm_(plain, limit)
    with fake_ranks(1):
        model = network()
        Sharding(init_device_mesh("cpu", (1,))).shard(model[0])
        mixed = learn(model)
        assert [is_sharded(parameter) for parameter in mixed] == [True, True, False, False]
        norm = clip_gradients(mixed, limit)
        assert not is_sharded(norm)
        torch.testing.assert_close(norm, expected)
        for parameter, other in zip(mixed, plain, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(local_values(parameter.grad), other.grad)


def test_values_are_clipped_wherever_they_lie(fake_ranks: Callable[..., Any]) -> None:
    plain = learn(network())
    nn.utils.clip_grad_value_(plain, 0.1)
    with fake_ranks(1):
        model = network()
        Sharding(init_device_mesh("cpu", (1,))).shard(model[0])
        mixed = learn(model)
        clip_values(mixed, 0.1)
        for parameter, other in zip(mixed, plain, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(local_values(parameter.grad), other.grad)


def test_one_gradient_that_is_not_finite_makes_the_norm_so() -> None:
    parameters = learn(network())
    assert parameters[1].grad is not None
    parameters[1].grad[0] = torch.nan
    assert not clip_gradients(parameters).isfinite()


def test_without_gradients_the_norm_is_zero() -> None:
    assert clip_gradients(network().parameters(), 1.0) == 0
