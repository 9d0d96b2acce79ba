"""Each rank reads its part of a file and nothing else, whatever the file's layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import open_weights, read_weights, to_transformers, write_weights
from sapiens2_lit.checkpoints.lazy_safetensors import StoredTensor
from sapiens2_lit.models.build import shard_backbone
from sapiens2_lit.parallel.dtensor import Part, held_part, local_values
from sapiens2_lit.parallel.seeded_init import init_sharded
from sapiens2_lit.parallel.sharding import Sharding

Layout = Callable[[dict[str, Tensor]], dict[str, Tensor]]
Ranks = Callable[..., Any]


def released(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state


def task(state: dict[str, Tensor]) -> dict[str, Tensor]:
    named = {f"backbone.{name}": tensor for name, tensor in state.items()}
    return {**named, "decode_head.conv_pose.bias": torch.zeros(17)}


@pytest.fixture(scope="module")
def model() -> Sapiens2:
    return Sapiens2("test", (64, 64))


def shell(world: int) -> Sapiens2:
    with torch.device("meta"):
        backbone = Sapiens2("test", (64, 64))
    sharding = Sharding(init_device_mesh("cpu", (world,)))
    shard_backbone(sharding, backbone)
    sharding.materialize(backbone)
    init_sharded(backbone.init_weights, draw=False)
    return backbone


@pytest.mark.parametrize("layout", [released, task, to_transformers])
@pytest.mark.parametrize(("world", "rank"), [(2, 0), (3, 1), (3, 2), (64, 5)])
def test_a_rank_takes_and_reads_its_part_alone(
    model: Sapiens2,
    layout: Layout,
    world: int,
    rank: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_ranks: Ranks,
) -> None:
    whole = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    file = write_weights(layout(whole), tmp_path / "model.safetensors")
    sizes: list[int] = []
    read = StoredTensor.read

    def counted(stored: StoredTensor, part: Part) -> Tensor:
        values = read(stored, part)
        sizes.append(values.numel())
        return values

    monkeypatch.setattr(StoredTensor, "read", counted)
    with fake_ranks(world, rank):
        backbone = shell(world)
        backbone.weights = str(file)
        backbone.load_weights()
        held = 0
        for name, tensor in backbone.state_dict().items():
            assert torch.equal(local_values(tensor), whole[name][held_part(tensor)]), name
            held += local_values(tensor).numel()
    assert sum(sizes) in (held, held - model.rope_embed.periods.numel()), "more was read than is held"


@pytest.mark.parametrize("layout", [released, task, to_transformers])
def test_opened_is_what_is_read(model: Sapiens2, layout: Layout, tmp_path: Path) -> None:
    file = write_weights(layout(model.state_dict()), tmp_path / "model.safetensors")
    opened, read = open_weights(file).tensors, read_weights(file).tensors
    assert opened.keys() == read.keys()
    for name, tensor in read.items():
        assert opened[name].shape == tensor.shape
        found = opened[name]
        assert not isinstance(found, Tensor)
        assert torch.equal(found.read(tuple(slice(0, n) for n in tensor.shape)), tensor), name


def test_fresh_values_are_those_of_one_process(fake_ranks: Ranks) -> None:
    torch.manual_seed(3)
    whole = Sapiens2("test", (64, 64)).state_dict()
    for rank in range(3):
        with fake_ranks(3, rank):
            backbone = shell(3)
            torch.manual_seed(3)
            init_sharded(backbone.init_weights)
            for name, tensor in backbone.state_dict().items():
                assert torch.equal(local_values(tensor), whole[name][held_part(tensor)]), name
