"""Ranks that are killed, and machines that are taken away: the run ends, and goes on from what is whole."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from processes import DDP, FSDP, STEPS, MakeJob, Ranks, recorded, start

pytestmark = pytest.mark.slow
MINUTE = 60


def callbacks(*given: tuple[str, dict[str, object]]) -> list[str]:
    return [
        "--trainer.callbacks",
        json.dumps([{"class_path": path, "init_args": args} for path, args in given]),
    ]


def wait_for(path: Path, group: Ranks) -> None:
    end = time.monotonic() + 600
    while not path.exists():
        assert all(process.is_alive() for process in group.processes), group.log()
        assert time.monotonic() < end, group.log()
        time.sleep(0.02)


def last(output: Path) -> Path:
    return output / "version_0" / "checkpoints" / "last.ckpt"


def go_on(name: str, pose_job: MakeJob, runs: Path) -> dict[int, float]:
    """Continue to the end with one rank; the losses by step."""
    command = [*pose_job(name, 1, *FSDP), "--ckpt_path", "last"]
    command += callbacks(("processes.Recorder", {"folder": str(runs / "recorded" / f"{name}_on")}))
    group = start(1, [command], runs / "processes" / f"{name}_on")
    assert group.join() == [[0]], group.log()
    return recorded(runs / "recorded" / f"{name}_on")


def test_killed_in_training(pose_job: MakeJob, runs: Path) -> None:
    """The other rank ends with an error; the run goes on from the last checkpoint with the losses it would have had."""
    folder = runs / "recorded" / "killed"
    job = [*pose_job("killed", 2, *FSDP), "--last_checkpoint.every_n_steps", "4"]
    job += callbacks(("processes.Recorder", {"folder": str(folder), "pause": 11}))
    group = start(2, [job], runs / "processes" / "killed")
    wait_for(folder / "1.paused", group)
    os.kill(group.processes[1].pid or 0, signal.SIGKILL)
    killed = time.monotonic()
    group.processes[0].join(MINUTE)
    assert group.processes[0].exitcode not in (None, 0), (
        "the other rank did not end with an error within a minute"
    )
    assert time.monotonic() - killed < MINUTE
    before = recorded(folder)
    after = go_on("killed", pose_job, runs)
    assert min(after) in (9, 13), "from the checkpoint of step 8, or of 12 if that was written yet"
    assert max(after) == STEPS
    both = before.keys() & after.keys()
    assert {step: after[step] for step in both} == pytest.approx(
        {step: before[step] for step in both}, abs=1e-5
    )


def test_killed_in_saving(pose_job: MakeJob, runs: Path) -> None:
    """What was being written is not taken for a checkpoint, and is removed when the run goes on."""
    marker = runs / "in_save"
    job = [*pose_job("torn", 2, *FSDP), "--last_checkpoint.every_n_steps", "4"]
    job += callbacks(("processes.StuckInSave", {"marker": str(marker)}))
    group = start(2, [job], runs / "processes" / "torn")
    wait_for(marker, group)
    os.kill(group.processes[1].pid or 0, signal.SIGKILL)
    group.processes[0].join(MINUTE)
    assert group.processes[0].exitcode not in (None, 0), (
        "the other rank did not end with an error within a minute"
    )
    whole = last(runs / "torn")
    assert whole.resolve().name == "last-step=4.ckpt"
    torn = list(whole.parent.glob(".*.part"))
    assert len(torn) == 1, "the checkpoint of step 8 was begun, under another name"
    after = go_on("torn", pose_job, runs)
    assert (min(after), max(after)) == (5, STEPS)
    assert not list(whole.parent.glob(".*.part"))
    assert [path.name for path in whole.parent.glob("last-step=*")] == [f"last-step={STEPS}.ckpt"]


@pytest.mark.parametrize(
    ("number", "rank", "workers"),
    [(signal.SIGTERM, 0, 1), (signal.SIGUSR1, 1, 0), (signal.SIGINT, 1, 0), (signal.SIGHUP, 0, 0)],
)
def test_a_signal_to_one_rank_saves_and_ends_the_run(
    pose_job: MakeJob, runs: Path, number: signal.Signals, rank: int, workers: int
) -> None:
    name = f"preempted_{number.name}"
    folder, tools = runs / "recorded" / name, runs / f"tools_{number.name}"
    tools.mkdir()
    scontrol = tools / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tools}/called\n')
    scontrol.chmod(0o755)
    slurm = {"SLURM_JOB_ID": "4711", "PATH": f"{tools}:{os.environ['PATH']}"}
    job = [*pose_job(name, 2, *FSDP), "--ckpt_path", "auto", "--data.num_workers", str(workers)]
    job += callbacks(("processes.Recorder", {"folder": str(folder), "pause": 3}))
    group = start(2, [job], runs / "processes" / name, slurm)
    wait_for(folder / f"{rank}.paused", group)
    os.kill(group.processes[rank].pid or 0, number)
    assert group.join(MINUTE * 5) == [[128 + number]] * 2, group.log()
    assert "Traceback" not in group.log()
    seen = max(recorded(folder))
    assert f"after step {seen}, which is saved; go on with --ckpt_path last" in group.log()
    assert last(runs / name).resolve().name == f"last-step={seen}.ckpt"
    assert seen < STEPS, "the run had ended before the signal came"
    requeued = (tools / "called").read_text().split() if (tools / "called").exists() else None
    assert requeued == (["requeue", "4711"] if number == signal.SIGUSR1 else None)


def test_what_is_random_on_each_rank_goes_on_as_it_was(dense_job: MakeJob, runs: Path) -> None:
    """Dropout of adapters on two ranks, stopped by a signal and gone on with: the same weights, bit for bit."""
    settings = ["--model.adapt.mode", "lora", "--model.adapt.lora.dropout", "0.3", "--data.val", "null"]
    folder = runs / "recorded" / "random"
    group = start(2, [[*dense_job("random_whole", 2, *DDP), *settings]], runs / "processes" / "random_whole")
    pausing = callbacks(("processes.Recorder", {"folder": str(folder), "pause": 7}))
    assert group.join() == [[0]] * 2, group.log()
    job = [*dense_job("random", 2, *DDP), *settings]
    group = start(2, [[*job, *pausing]], runs / "processes" / "random")
    wait_for(folder / "1.paused", group)
    os.kill(group.processes[0].pid or 0, signal.SIGTERM)
    assert group.join() == [[128 + signal.SIGTERM]] * 2, group.log()
    assert max(recorded(folder)) < STEPS, "the run had ended before the signal came"
    group = start(2, [[*job, "--ckpt_path", "last"]], runs / "processes" / "random_on")
    assert group.join() == [[0]] * 2, group.log()
    found, expected = (
        torch.load(last(runs / name), weights_only=True)["state_dict"] for name in ("random", "random_whole")
    )
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
