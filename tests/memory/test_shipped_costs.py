"""What the shipped configurations cost: numbers that do not drift with the machine, so that a change is seen."""

import pytest
from torch import Tensor

from sapiens2_lit.cli.plan_settings import read_case
from sapiens2_lit.memory.batches import example_batch
from sapiens2_lit.memory.flops import training_flops
from sapiens2_lit.memory.networks import empty_networks

# TFLOP of a training step for one image of 1024 x 768, forward and backward: the backbone of 0.4B, and heads
BACKBONE = 10.564
HEADS = {
    "pose_17": {"pose": 1.470},
    "pose_133": {"pose": 1.479},
    "pose_308": {"pose": 1.492},
    "segmentation_29": {"seg": 0.666},
    "normal": {"normal": 4.979},
    "albedo": {"albedo": 4.979},
    "depth": {"depth": 4.979},
    "matting": {"matting": 4.980},
    "pointmap": {"pointmap": 14.903},
    "multitask": {"pose": 1.492, "seg": 0.029, "normal": 0.029, "pointmap": 0.037, "albedo": 0.029},
}
SHARED = {"multitask": 12.393 - 3 * 0.029 - 0.037 - 1.492 - BACKBONE}
# bytes of one sample on its way to the device
IMAGE, FLOATS, MASK = 3 * 1024 * 768, 4 * 1024 * 768, 1024 * 768
BYTES: dict[str, int] = {}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_operations_of_a_step_and_bytes_of_a_sample(name: str) -> None:
    case = read_case(["--config", f"{name}.yaml"])
    networks = empty_networks(case.module, checkpointing=False, head_checkpointing="none")
    flops = training_flops(networks, case.launch.image_size)
    assert flops.backbone / 1e12 == pytest.approx(BACKBONE + SHARED.get(name, 0.0), abs=2e-3)
    assert {key: value / 1e12 for key, value in flops.heads.items()} == pytest.approx(HEADS[name], abs=1e-3)
    heads = [head for _, head in networks.network.named_heads()]
    batch = example_batch(heads, 1, case.launch.image_size)
    found = sum(value.nbytes for value in batch.values() if isinstance(value, Tensor))
    assert found == BYTES[name], found
