"""With a teacher over two processes, under DDP and with both sharded, training is what it is in one."""

from pathlib import Path

import pytest
import torch
from processes import DDP, FSDP, STEPS, MakeJob, recorded, start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(dense_job: MakeJob, runs: Path) -> Path:
    teacher = runs / "taught_by" / "version_0"
    taught = (
        "--model.teacher.weights",
        teacher,
        "--model.teacher.features",
        1.0,
        "--model.teacher.relations",
        0.5,
    )
    half = runs / "kept" / "taught_fsdp" / f"step={STEPS // 2}.ckpt"
    stored = (*taught, "--model.teacher.cache", runs / "answers", "--trainer.max_epochs", 3)
    by_one = [dense_job("taught_by", 1, "--seed_everything", 7), dense_job("taught1", 1, *taught)]
    by_two = [
        dense_job("taught_ddp", 2, *DDP, *taught),
        dense_job("taught_fsdp", 2, *FSDP, *taught),
        dense_job("taught_on", 2, *FSDP, *taught, "--ckpt_path", half),
        dense_job("taught_stored", 2, *FSDP, *stored),
    ]
    for ranks, jobs in ((1, by_one), (2, by_two)):
        group = start(ranks, jobs, runs / "distillation" / str(ranks))
        assert group.join() == [[0] * len(jobs)] * ranks, group.log()
    return runs / "recorded"


@pytest.mark.parametrize("name", ["taught_ddp", "taught_fsdp"])
def test_losses_and_gradients_are_those_of_one_process(trained: Path, name: str) -> None:
    for key in ("loss", "norm"):
        expected = recorded(trained / "taught1", key)
        assert list(expected) == list(range(1, STEPS + 1))
        assert recorded(trained / name, key) == pytest.approx(expected, abs=1e-5)


def test_a_sharded_run_goes_on_exactly(trained: Path) -> None:
    whole, later = (recorded(trained / name) for name in ("taught_fsdp", "taught_on"))
    rest = {step: later[step] for step in later if step > STEPS // 2}
    assert rest == pytest.approx({step: whole[step] for step in rest}, abs=1e-6)


def test_sharded_teachers_share_a_cache(trained: Path) -> None:
    assert all(torch.tensor(list(recorded(trained / "taught_stored").values())).isfinite())


def test_the_teacher_is_not_in_the_checkpoint(trained: Path) -> None:
    from sapiens2_lit.parallel import checkpoint

    folder = trained.parent / "kept" / "taught_fsdp" / f"step={STEPS}.ckpt"
    names = set(checkpoint.stored_tensors(folder, checkpoint.MODEL))
    assert {name.partition(".")[0] for name in names} == {"backbone", "heads", "distillation"}
