"""Sapiens v1, sharded block by block, trains as in one process."""

from pathlib import Path

import pytest
import sapiens1_files as files
from processes import DDP, FSDP, MakeJob, recorded, start

STEPS = 6
LORA = ("--model.adapt.mode", "lora", "--model.adapt.rank", "2")


@pytest.fixture(scope="module")
def trained(pose_job: MakeJob, runs: Path) -> Path:
    """Runs in one process and in two, from a released file of pretraining, with the released decoder."""
    overlay, file = runs / "sapiens1.yaml", files.write_backbone(runs / "sapiens1.pth")
    overlay.write_text(
        "model: {backbone: {class_path: sapiens2_lit.backbones.Sapiens1, init_args: "
        f"{{size: test, weights: {file}}}}}}}\n"
    )
    steps = ("--config", overlay, "--model.heads.pose.decoder", "sapiens1", "--trainer.max_steps", STEPS)
    jobs = {"v1": (), "v1_lora": LORA}
    alone = start(
        1, [pose_job(f"{name}_1", 1, *steps, *how) for name, how in jobs.items()], runs / "v1_alone"
    )
    assert alone.join() == [[0] * len(jobs)], alone.log()
    by_two = [pose_job(f"{name}_2", 2, *steps, *FSDP, *how) for name, how in jobs.items()]
    by_two.append(pose_job("v1_ddp", 2, *steps, *DDP))
    pair = start(2, by_two, runs / "v1_two")
    assert pair.join() == [[0] * len(by_two)] * 2, pair.log()
    return runs / "recorded"


@pytest.mark.slow
@pytest.mark.parametrize(("one", "two"), [("v1_1", "v1_2"), ("v1_lora_1", "v1_lora_2"), ("v1_1", "v1_ddp")])
def test_losses_are_those_of_one_process(one: str, two: str, trained: Path) -> None:
    expected, found = (recorded(trained / name) for name in (one, two))
    assert len(found) == STEPS
    assert found == pytest.approx(expected, abs=1e-5)
