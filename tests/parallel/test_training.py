"""Sharded over 2 and over 4 processes, training is what it is in one, and goes on from the checkpoints of any."""

import json
from pathlib import Path

import pytest
import torch
from processes import DDP, FSDP, HSDP, STEPS, MakeJob, Ranks, recorded, start
from safetensors.torch import load_file

from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.checkpoints.checkpoint_io import RunCheckpointIO
from sapiens2_lit.cli.main import main

pytestmark = pytest.mark.slow
HALF = STEPS // 2
HALF_PRECISION = ("--trainer.precision", "bf16-mixed")
MEASURED = ("--trainer.limit_val_batches", 1.0, "--trainer.val_check_interval", HALF)
MEASURED += ("--trainer.check_val_every_n_epoch", "null")


@pytest.fixture(scope="module")
def trained(pose_job: MakeJob, dense_job: MakeJob, several_job: MakeJob, weights: Path, runs: Path) -> Path:
    """All runs of this file: three groups of processes, one after the other."""
    half = runs / "kept" / "pose2" / f"step={HALF}.ckpt"
    ddp_half = runs / "kept" / "ddp2" / f"step={HALF}.ckpt"
    backbone = ("--model.backbone.weights", weights)
    frozen = (*backbone, "--model.adapt.mode", "frozen")
    lora = (*backbone, "--model.adapt.mode", "lora", "--model.adapt.lora.rank", 4, "--model.ema.decay", 0.9)
    lora_half = runs / "kept" / "lora2" / f"step={HALF}.ckpt"
    alone = [
        pose_job("pose1", 1, *MEASURED),
        dense_job("dense1", 1),
        several_job("several1", 1),
        pose_job("frozen1", 1, *frozen),
        pose_job("lora1", 1, *lora),
        pose_job("half1", 1, *HALF_PRECISION),
    ]
    by_two = [
        pose_job("pose2", 2, *FSDP, *MEASURED),
        dense_job("dense2", 2, *FSDP, "--model.backbone.activation_checkpointing", "selective"),
        several_job("several2", 2, *FSDP),
        pose_job("frozen2", 2, *FSDP, *frozen),
        pose_job("lora2", 2, *FSDP, *lora),
        pose_job("lora_on", 2, *FSDP, *lora, "--ckpt_path", lora_half),
        pose_job("accumulated2", 2, *FSDP, "--data.batch_size", 1, "--trainer.accumulate_grad_batches", 2),
        pose_job("half2", 2, *FSDP, *HALF_PRECISION),
        pose_job("ddp2", 2, *DDP),
        pose_job("sharded_to_ddp", 2, *DDP, "--ckpt_path", half),
        pose_job("ddp_to_sharded", 2, *FSDP, "--ckpt_path", ddp_half),
    ]
    by_four = [
        pose_job("pose4", 4, *FSDP, *MEASURED),
        pose_job("hsdp4", 4, *HSDP),
        pose_job("to_four", 4, *FSDP, "--ckpt_path", half),
    ]
    later_alone = [
        pose_job("to_one", 1, *FSDP, "--ckpt_path", half),
        pose_job("to_plain", 1, "--ckpt_path", half),
    ]
    for ranks, name, jobs in ((2, "two", by_two), (1, "one", alone + later_alone), (4, "four", by_four)):
        group: Ranks = start(ranks, jobs, runs / "processes" / name)
        assert group.join() == [[0] * len(jobs)] * ranks, group.log()
    return runs / "recorded"


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("pose2", "pose1"),
        ("pose4", "pose1"),
        ("hsdp4", "pose1"),
        ("dense2", "dense1"),
        ("several2", "several1"),
        ("frozen2", "frozen1"),
        ("lora2", "lora1"),
    ],
)
def test_losses_are_those_of_one_process(trained: Path, name: str, alone: str) -> None:
    for key in ("loss", "norm"):
        expected = recorded(trained / alone, key)
        assert list(expected) == list(range(1, STEPS + 1))
        assert recorded(trained / name, key) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["pose2", "pose4"])
def test_metrics_are_those_of_one_process(trained: Path, name: str) -> None:
    """Of six people, whom four ranks cannot share evenly."""
    expected = json.loads((trained / "pose1" / "0.measured").read_text())
    assert expected.keys() >= {"val/pose/AP", "val/pose/PCK@0.1", "val/pose/mse", "val/score"}
    for rank in range(int(name[-1])):
        assert json.loads((trained / name / f"{rank}.measured").read_text()) == pytest.approx(
            expected, abs=1e-5
        )


def test_best_and_last_are_kept_alone(trained: Path, runs: Path) -> None:
    folder = runs / "pose2" / "version_0" / "checkpoints"
    best, *others = sorted(path.name for path in folder.iterdir())
    assert others == [f"last-step={STEPS}.ckpt", "last.ckpt"]
    assert best.startswith("best-step=")
    assert (folder / "last.ckpt").resolve().name == f"last-step={STEPS}.ckpt"
    events = [list((runs / name / "version_0").glob("events*")) for name in ("pose1", "pose2", "pose4")]
    assert [len(found) for found in events] == [1, 1, 1], "only rank 0 writes events"


@pytest.mark.parametrize("name", ["pose1", "pose4"])
def test_consolidated_weights_are_those_of_the_checkpoint(trained: Path, runs: Path, name: str) -> None:
    kept, out = runs / "kept" / name / f"step={STEPS}.ckpt", runs / f"{name}.safetensors"
    assert kept.is_dir() is (name == "pose4")
    assert main(["consolidate", str(kept), str(out)]) == 0
    found, expected = load_file(out), RunCheckpointIO().load_checkpoint(kept)["state_dict"]
    opened = read_weights(kept).tensors
    assert found.keys() == expected.keys() == opened.keys()
    for key, tensor in found.items():
        assert torch.equal(tensor, expected[key]), key
        assert torch.equal(tensor, opened[key]), key


def test_half_precision_rounds_and_nothing_more(trained: Path) -> None:
    """Blocks are gathered in bfloat16: norms' weights, too, which one process keeps in float32."""
    for key, tolerance in (("loss", 5e-3), ("norm", 5e-2)):
        expected = recorded(trained / "half1", key)
        assert recorded(trained / "half2", key) == pytest.approx(expected, rel=tolerance)


def test_accumulated_gradients_are_those_of_the_whole_batch(trained: Path) -> None:
    """They are reduced once a step, and the norm is that of the sum."""
    expected = recorded(trained / "pose1", "norm")
    assert recorded(trained / "accumulated2", "norm") == pytest.approx(expected, abs=1e-5)


def test_a_run_with_adapters_and_averages_goes_on(trained: Path) -> None:
    expected = {step: loss for step, loss in recorded(trained / "lora1").items() if step > HALF}
    assert recorded(trained / "lora_on") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["to_four", "to_one", "to_plain", "sharded_to_ddp", "ddp_to_sharded"])
def test_a_run_goes_on_from_another_number_of_ranks(trained: Path, name: str) -> None:
    expected = {step: loss for step, loss in recorded(trained / "pose1").items() if step > HALF}
    assert recorded(trained / name) == pytest.approx(expected, abs=1e-5)
