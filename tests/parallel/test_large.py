"""The large models are built and sharded over 8 and 64 ranks without memory for them, in one process."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import PoseHead
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.models.build import shard_backbone
from sapiens2_lit.parallel.dtensor import local_values
from sapiens2_lit.parallel.sharding import Sharding


def held(module: nn.Module) -> int:
    return sum(local_values(parameter).numel() for parameter in module.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("world", [8, 64])
@pytest.mark.parametrize(("size", "windows"), [("5b", False), ("1b", True)])
def test_each_rank_holds_its_part(
    size: str, windows: bool, world: int, fake_ranks: Callable[..., Any]
) -> None:
    with torch.device("meta"):
        backbone = Sapiens2(size, (4096, 3072) if windows else (1024, 768), window_tokenizer=windows)
        head = PoseHead(backbone.embed_dim)
    parameters = [parameter for module in (backbone, head) for parameter in module.parameters()]
    whole = sum(parameter.numel() for parameter in parameters)
    launch = TrainingSetup(1, backbone.image_size, strategy="fsdp2", devices=world)
    planned = sum(launch.held(parameter) for parameter in parameters)
    with fake_ranks(world):
        sharding = Sharding(init_device_mesh("cpu", (world,)), torch.bfloat16)
        shard_backbone(sharding, backbone)
        sharding.shard(head)
        own = held(backbone) + held(head)
    assert own == planned, "what `sapiens2-lit plan` says"
    assert own >= whole / world
    assert own == pytest.approx(whole / world, rel=0.02), (
        "rank 0 holds the largest part; nothing is left whole"
    )
    assert all(parameter.is_meta for parameter in backbone.parameters())


@pytest.mark.slow
def test_copies_are_sharded_within_their_machine(fake_ranks: Callable[..., Any]) -> None:
    with torch.device("meta"):
        backbone = Sapiens2("0.4b")
    with fake_ranks(16):
        mesh = init_device_mesh("cpu", (2, 8), mesh_dim_names=("replicate", "shard"))
        shard_backbone(Sharding(mesh), backbone)
        own = held(backbone)
    whole = sum(parameter.numel() for parameter in backbone.parameters())
    assert own == pytest.approx(whole / 8, rel=0.02)
