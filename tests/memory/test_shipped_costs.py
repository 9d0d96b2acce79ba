"""What the shipped configurations cost: numbers that do not drift with the machine, so that a change is seen."""

from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from sapiens2_lit import datamodules
from sapiens2_lit.cli.plan_settings import read_case
from sapiens2_lit.memory.flops import TrainingFlops, training_flops
from sapiens2_lit.memory.networks import Networks, empty_networks
from sapiens2_lit.models.network import Network
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

# TFLOP of a training step for one image of 1024 x 768, forward and backward: the backbone of 0.4B, and heads
BACKBONE = 10.564
HEADS = {
    "pose_17": {"pose": 1.470},
    "pose_133": {"pose": 1.479},
    "pose_308": {"pose": 1.492},
    "segmentation_29": {"seg": 0.042},
    "normal": {"normal": 0.042},
    "albedo": {"albedo": 0.042},
    "depth": {"depth": 0.042},
    "matting": {"matting": 0.042},
    "pointmap": {"pointmap": 14.903},
    "multitask": {"pose": 1.492, "seg": 0.029, "normal": 0.029, "pointmap": 0.037, "albedo": 0.029},
}
SHARED = {"multitask": 0.081}  # the decoder of dense heads
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


@pytest.fixture(scope="module")
def counted() -> dict[str, TrainingFlops]:
    """Operations by configuration: those of one head each in one pass, behind the backbone that they have in common."""
    cases = {name: read_case(["--config", f"{name}.yaml"]) for name in HEADS}
    built = {
        name: empty_networks(case.module, checkpointing=False, head_checkpointing="none")
        for name, case in cases.items()
    }
    size = cases["multitask"].launch.image_size
    single = {name: networks for name, networks in built.items() if len(networks.heads) == 1}
    first = next(iter(single.values()))
    for name, networks in single.items():
        assert cases[name].launch.image_size == size
        assert described(networks) == described(first)
    heads = {name: next(iter(networks.heads.values())) for name, networks in single.items()}
    together = training_flops(replace(first, network=Network(first.backbone, heads)), size)
    found = {name: training_flops(networks, size) for name, networks in built.items() if name not in single}
    for name, networks in single.items():
        (head,) = networks.heads
        found[name] = TrainingFlops(together.backbone, {head: together.heads[name]})
    return found


def described(networks: Networks) -> tuple[str, list[object]]:
    """What the operations of a backbone depend on: its modules, with their settings, and what of it learns."""
    learns = [(name, p.shape, p.requires_grad) for name, p in networks.backbone.named_parameters()]
    return repr(networks.backbone), [networks.backbone.out_indices, *learns]


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_operations_of_a_step(name: str, counted: dict[str, TrainingFlops]) -> None:
    flops = counted[name]
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
