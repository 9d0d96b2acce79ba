"""Networks of timm, sharded block by block, train as in one process."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from processes import DDP, FSDP, MakeJob, recorded, start
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule

from sapiens2_lit.backbones import TimmBackbone
from sapiens2_lit.models.build import shard_backbone
from sapiens2_lit.parallel.sharding import Sharding

pytest.importorskip("timm")
STEPS = 6
TINY = {"embed_dim": 32, "depth": 3, "num_heads": 2}
NAMES = {
    "dinov3": "vit_small_patch16_dinov3.lvd1689m",
    "siglip2": "vit_base_patch16_siglip_512.v2_webli",
    "dinov2": "vit_small_patch14_reg4_dinov2.lvd142m",
    "convnext": "convnext_tiny.dinov3_lvd1689m",
}
CONVNEXT = {"depths": (1, 1, 2, 1), "dims": (8, 12, 16, 24)}


@pytest.mark.parametrize("family", NAMES)
def test_there_are_as_many_units_as_blocks(
    family: str, fake_ranks: Callable[..., AbstractContextManager[None]]
) -> None:
    args = CONVNEXT if family == "convnext" else TINY
    with torch.device("meta"):
        backbone = TimmBackbone(NAMES[family], (64, 32), model_args=args)
    with fake_ranks(2):
        shard_backbone(Sharding(init_device_mesh("cpu", (2,))), backbone)
    units = [one for one in backbone.modules() if isinstance(one, FSDPModule)]
    assert {id(one) for one in units} == {id(backbone), *map(id, backbone.blocks)}
    assert len(units) == backbone.depth + 1


@pytest.fixture(scope="module")
def trained(pose_job: MakeJob, runs: Path) -> Path:
    """Runs in one process and in two, from a file and from random values."""
    torch.manual_seed(3)
    name, overlay, file = NAMES["dinov3"], runs / "timm.yaml", runs / "timm.safetensors"
    save_file(TimmBackbone(name, (64, 48), model_args=TINY).model.state_dict(), file)
    overlay.write_text(
        "model: {backbone: {class_path: sapiens2_lit.backbones.TimmBackbone, init_args: "
        f"{{name: {name}, model_args: {{embed_dim: 32, depth: 3, num_heads: 2}}}}}}}}\n"
    )
    steps = ("--config", overlay, "--trainer.max_steps", STEPS)
    jobs = {
        "timm": (),
        "timm_file": ("--model.backbone.weights", file, "--model.backbone.activation_checkpointing", "true"),
    }
    alone = start(
        1, [pose_job(f"{name}1", 1, *steps, *how) for name, how in jobs.items()], runs / "timm_alone"
    )
    assert alone.join() == [[0] * len(jobs)], alone.log()
    by_two = [pose_job(f"{name}2", 2, *steps, *FSDP, *how) for name, how in jobs.items()]
    by_two.append(pose_job("timm_ddp", 2, *steps, *DDP))
    pair = start(2, by_two, runs / "timm_two")
    assert pair.join() == [[0] * len(by_two)] * 2, pair.log()
    return runs / "recorded"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "two"), [("timm1", "timm2"), ("timm_file1", "timm_file2"), ("timm1", "timm_ddp")]
)
def test_losses_are_those_of_one_process(one: str, two: str, trained: Path) -> None:
    """DDP besides: it would end at a parameter without a gradient."""
    expected, found = (recorded(trained / name) for name in (one, two))
    assert len(found) == STEPS
    assert found == pytest.approx(expected, abs=1e-5)
