"""Sharded over 2 and over 4 processes, training is what it is in one, and goes on from the checkpoints of any."""

from pathlib import Path

import pytest
from conftest import DDP, FSDP, HSDP, STEPS, MakeJob
from processes import Ranks, recorded, start

HALF = STEPS // 2


@pytest.fixture(scope="module")
def trained(pose_job: MakeJob, dense_job: MakeJob, runs: Path) -> Path:
    """All runs of this file: three groups of processes, one after the other."""
    half = runs / "kept" / "pose2" / f"step={HALF}.ckpt"
    ddp_half = runs / "kept" / "ddp2" / f"step={HALF}.ckpt"
    alone = [pose_job("pose1", 1), dense_job("dense1", 1)]
    by_two = [
        pose_job("pose2", 2, *FSDP),
        dense_job("dense2", 2, *FSDP),
        pose_job("ddp2", 2, *DDP),
        pose_job("sharded_to_ddp", 2, *DDP, "--ckpt_path", half),
        pose_job("ddp_to_sharded", 2, *FSDP, "--ckpt_path", ddp_half),
    ]
    by_four = [
        pose_job("pose4", 4, *FSDP),
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
    ("name", "alone"), [("pose2", "pose1"), ("pose4", "pose1"), ("hsdp4", "pose1"), ("dense2", "dense1")]
)
def test_losses_are_those_of_one_process(trained: Path, name: str, alone: str) -> None:
    for key in ("loss", "norm"):
        expected = recorded(trained / alone, key)
        assert list(expected) == list(range(1, STEPS + 1))
        assert recorded(trained / name, key) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["to_four", "to_one", "to_plain", "sharded_to_ddp", "ddp_to_sharded"])
def test_a_run_goes_on_from_another_number_of_ranks(trained: Path, name: str) -> None:
    expected = {step: loss for step, loss in recorded(trained / "pose1").items() if step > HALF}
    assert recorded(trained / name) == pytest.approx(expected, abs=1e-5)
