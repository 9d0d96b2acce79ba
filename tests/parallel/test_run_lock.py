"""The lock of a run's folder with several ranks: all of them end, none waits for the others."""

import os
from pathlib import Path

import pytest
from processes import DDP, MakeJob, start

from sapiens2_lit.checkpoints.run_lock import NAME, RunLock


@pytest.mark.slow
def test_all_ranks_of_a_second_run_are_refused(pose_job: MakeJob, runs: Path) -> None:
    job = pose_job("locked", 2, *DDP, "--trainer.max_steps", 1)
    first = start(2, [job], runs / "processes" / "locked")
    assert first.join() == [[0], [0]], first.log()
    run = runs / "locked" / "version_0"
    assert (run / "checkpoints" / "last.ckpt").exists() and not (run / NAME).exists()
    config, files = (run / "config.yaml").stat().st_mtime_ns, sorted(run.rglob("*"))
    lock = RunLock(run)
    lock.acquire()
    second = start(2, [[*job, "--ckpt_path", "last"]], runs / "processes" / "refused")
    assert second.join() == [[1], [1]], second.log()
    lock.release()
    assert f"a run is writing there, process {os.getpid()}" in second.log()
    assert (run / "config.yaml").stat().st_mtime_ns == config
    assert sorted(run.rglob("*")) == files
