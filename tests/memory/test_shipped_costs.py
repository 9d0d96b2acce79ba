"""What the shipped configurations cost: numbers that do not drift with the machine, so that a change is seen."""

from pathlib import Path

import pytest
from torch import Tensor

from sapiens2_lit import datamodules
from sapiens2_lit.cli.plan_settings import read_case
from sapiens2_lit.memory.flops import training_flops
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

# TFLOP of a training step for one image of 1024 x 768, forward and backward: the backbone of 0.4B, and heads
BACKBONE = 10.564
HEADS = {
    "pose_17": {"pose": 1.470},
    "pose_133": {"pose": 1.479},
    "pose_308": {"pose": 1.492},
    "segmentation_29": {"seg": 0.101},
    "normal": {"normal": 0.101},
    "albedo": {"albedo": 0.101},
    "depth": {"depth": 0.101},
    "matting": {"matting": 0.101},
    "pointmap": {"pointmap": 14.903},
    "multitask": {"pose": 1.492, "seg": 0.029, "normal": 0.029, "pointmap": 0.037, "albedo": 0.029},
}
SHARED = {"multitask": 12.393 - 3 * 0.029 - 0.037 - 1.492 - BACKBONE}
# of one sample on its way to the device, at 1024 x 768
BYTES = {
    "PoseDataModule": 2_363_052,
    "SegmentationDataModule": 8_650_776,
    "NormalDataModule": 12_582_936,
    "DepthDataModule": 6_291_480,
    "PointmapDataModule": 12_582_972,
    "AlbedoDataModule": 12_582_936,
    "MattingDataModule": 14_942_232,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_operations_of_a_step(name: str) -> None:
    case = read_case(["--config", f"{name}.yaml"])
    networks = empty_networks(case.module, checkpointing=False, head_checkpointing="none")
    flops = training_flops(networks, case.launch.image_size)
    assert flops.backbone / 1e12 == pytest.approx(BACKBONE + SHARED.get(name, 0.0), abs=2e-3)
    assert {key: value / 1e12 for key, value in flops.heads.items()} == pytest.approx(HEADS[name], abs=1e-3)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("costs") / "people"
    make_dataset(root, 2, Settings(size=(64, 48)), workers=1, progress=False)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("kind", BYTES)
def test_bytes_of_a_sample(kind: str, people: Path) -> None:
    settings = {"cameras": "cameras"} if kind.startswith("Pointmap") else {}
    data = getattr(datamodules, kind)(str(people), val=None, num_workers=0, seed=0, **settings)
    data.setup("fit")
    sample = data.datasets["train"][(0, 0)]
    assert sum(value.nbytes for value in sample.values() if isinstance(value, Tensor)) == BYTES[kind]
