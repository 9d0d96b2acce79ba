"""Check FSDP2: a sharded training has the losses of one process, over one rank and over all cards."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.parallel.collectives import leave_group
from sapiens2_lit.verify.rows import REPORT, CannotRun, Check, Found, at_most
from sapiens2_lit.verify.training import STEPS, Size, plan
from sapiens2_lit.verify.trial import run_trial

WITHIN = {
    "32-true": 1e-4,
    "bf16-mixed": 2e-2,
}  # share of the loss; FSDP2 rounds gathered weights, autocast rounds each use
DIFFERS = "A sharded training has other losses than one process."
PATIENCE = 1200  # s


def distributed_checks(size: Size) -> list[Check]:
    """Return checks of one rank in this process, and of all cards in separate processes."""
    return [
        Check(f"FSDP2 {size.name}: one rank", lambda: one_rank(size)),
        Check(f"FSDP2 {size.name}: all cards", lambda: all_cards(size)),
    ]


def task_of(size: Size) -> str:
    """Return the task to train."""
    return next((task for task in size.setting.tasks), "normal")


def alone(size: Size, launch: TrainingSetup) -> list[float]:
    """Return the losses of one process.

    Raises:
        CannotRun: The training does not fit the card.
    """
    plan(size, task_of(size), "full", launch)
    return run_trial(size.make(task_of(size), "full"), launch, STEPS).losses


def one_rank(size: Size) -> Found:
    """Train with everything that sharding needs in one process, and compare the losses."""
    expected = alone(size, size.launch())
    with as_before():
        launch = size.launch(strategy="fsdp2")
        found = run_trial(size.make(task_of(size), "full"), launch, STEPS).losses
    return compare(found, expected, launch.precision)


def compare(found: list[float], expected: list[float], precision: str) -> Found:
    """Return the largest relative difference of losses.

    Args:
        found: Of the sharded training.
        expected: Of one process.
        precision: Decides the tolerance.
    """
    furthest = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(found, expected, strict=True))
    return at_most(furthest, WITHIN[precision], DIFFERS)


def all_cards(size: Size) -> Found:
    """Train with a rank on every card, started like torchrun does.

    Raises:
        CannotRun: There are fewer than two cards.
    """
    cards = torch.cuda.device_count() if size.setting.gpu else 0
    if cards < 2:
        raise CannotRun(f"Needs two CUDA cards or more, found {cards}.")
    return over_ranks(size, cards)


def over_ranks(size: Size, world: int) -> Found:
    """Train with several ranks, each on its own device, with the same batch, and compare the losses with one process.

    Raises:
        CannotRun: The single process does not fit a card.
    """
    expected = alone(size, size.launch())
    order = size.setting.scratch / "ranks.json"
    order.write_text(json.dumps(as_order(size, world)), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(world)]
    command += ["-m", "sapiens2_lit.verify.ranks", str(order)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    answer = order.with_suffix(".losses")
    if done.returncode or not answer.is_file():
        said = [line.strip() for line in done.stderr.splitlines() if "Error" in line] or [""]
        return Found("no losses", wrong=f"The ranks ended with status {done.returncode}: {said[0]} {REPORT}")
    found = json.loads(answer.read_text(encoding="utf-8"))
    return compare(found, expected, size.launch().precision)


def as_order(size: Size, world: int) -> dict[str, object]:
    """Return what each rank must know."""
    place = None if size.opened is None else str(size.opened.place)
    return {"world": world, "size": size.name, "place": place, "task": task_of(size), "gpu": size.setting.gpu}


@contextmanager
def as_before() -> Iterator[None]:
    """Restore the environment after this block, and leave any process group."""
    environment = dict(os.environ)
    try:
        yield
    finally:
        leave_group()
        os.environ.clear()
        os.environ.update(environment)
