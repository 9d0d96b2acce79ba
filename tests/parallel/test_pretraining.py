"""Pretraining over two processes is what it is in one, under DDP and sharded, teacher and center included."""

import json
from pathlib import Path

import pytest
import torch
from processes import DDP, FSDP, STEPS, MakeJob, recorded, start
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
DINO = ("--model.dino.prototypes", 32, "--model.dino.hidden", 32, "--model.dino.bottleneck", 16)
MAE, BOTH, CONTINUE = (f"pretrain/{name}.yaml" for name in ("mae", "sapiens2", "continue"))


@pytest.fixture(scope="module")
def trained(pose_job: MakeJob, figures: Path, weights: Path, runs: Path) -> Path:
    def pretrain(config: str, name: str, ranks: int, *options: object) -> list[str]:
        made = pose_job(name, ranks, "--data.val_samples", 0, *options)
        own = {"pose_17.yaml": config, str(figures): str(figures / "images")}
        return ["pretrain", *(own.get(word, word) for word in made[1:])]

    half = runs / "kept" / "both_fsdp" / f"step={STEPS // 2}.ckpt"
    near = (
        "--model.backbone.weights",
        weights,
        "--model.decoder_first_steps",
        5,
        "--comparison.run",
        "never",
    )
    by_one = [
        pretrain(MAE, "mae1", 1),
        pretrain(BOTH, "both1", 1, *DINO),
        pretrain(CONTINUE, "anchor1", 1, *near),
    ]
    by_two = [
        pretrain(MAE, "mae_ddp", 2, *DDP),
        pretrain(MAE, "mae_fsdp", 2, *FSDP),
        pretrain(BOTH, "both_ddp", 2, *DDP, *DINO),
        pretrain(BOTH, "both_fsdp", 2, *FSDP, *DINO),
        pretrain(CONTINUE, "anchor_fsdp", 2, *FSDP, *near),
        pretrain(BOTH, "both_on", 2, *FSDP, *DINO, "--ckpt_path", half),
    ]
    for ranks, jobs in ((1, by_one), (2, by_two)):
        group = start(ranks, jobs, runs / "pretraining" / str(ranks))
        assert group.join() == [[0] * len(jobs)] * ranks, group.log()
    return runs


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("mae_ddp", "mae1"),
        ("mae_fsdp", "mae1"),
        ("both_ddp", "both1"),
        ("both_fsdp", "both1"),
        ("anchor_fsdp", "anchor1"),
    ],
)
def test_losses_and_backbones_are_those_of_one_process(trained: Path, name: str, alone: str) -> None:
    expected = recorded(trained / "recorded" / alone)
    found = recorded(trained / "recorded" / name)
    assert list(found) == list(range(1, STEPS + 1))
    assert found == pytest.approx(expected, abs=1e-5)
    one, other = (load_file(trained / run / "version_0" / "backbone.safetensors") for run in (name, alone))
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key], rtol=0, atol=2e-5)


def test_a_sharded_run_goes_on_exactly(trained: Path) -> None:
    whole, later = (recorded(trained / "recorded" / name) for name in ("both_fsdp", "both_on"))
    assert {step: later[step] for step in later if step > STEPS // 2} == pytest.approx(
        {step: whole[step] for step in whole if step > STEPS // 2}, abs=1e-6
    )


def test_the_file_tells_its_origin(trained: Path) -> None:
    from safetensors import safe_open

    with safe_open(trained / "both_fsdp" / "version_0" / "backbone.safetensors", "pt") as opened:
        said = json.loads(opened.metadata()["sapiens2_lit.pretraining"])
    assert said["objective"] == "mae + dino"
    assert said["whose"] == "teacher"
    assert said["steps"] == STEPS
