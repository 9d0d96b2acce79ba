"""Generators come back from a checkpoint as they were."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from sapiens2_lit.callbacks.random_state import RandomState


def draw() -> list[float]:
    return [
        torch.rand(()).item(),
        torch.randn(()).item(),
        np.random.rand(),  # noqa: NPY002
        np.random.randn(),  # noqa: NPY002
        random.random(),
        random.gauss(0, 1),
    ]


def trainer(ranks: int = 1) -> Any:
    return SimpleNamespace(world_size=ranks, global_rank=0)


def test_a_run_that_goes_on_draws_the_same(tmp_path: Path) -> None:
    draw()  # a normal number is left over in NumPy and Python
    torch.save(RandomState().state_dict(), tmp_path / "state.pt")
    expected = [draw() for _ in range(3)]
    state = RandomState()
    state.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    draw()
    state.on_train_start(trainer(), None)  # type: ignore[arg-type]
    assert [draw() for _ in range(3)] == expected
    torch.manual_seed(1)
    state.on_train_start(trainer(), None)  # type: ignore[arg-type]  # a second start
    assert torch.rand(()).item() != expected[0][0]


def test_validation_draws_nothing_from_training() -> None:
    state, numbers = RandomState(), []
    for validates in (False, True):
        torch.manual_seed(3)
        if validates:
            state.on_validation_start(trainer(), None)  # type: ignore[arg-type]
            draw()
            assert torch.equal(state.state_dict()["ranks"][0]["torch"], state.before_validation["torch"])  # type: ignore[index]
            state.on_validation_end(trainer(), None)  # type: ignore[arg-type]
        numbers.append(torch.rand(()).item())
    assert numbers[0] == numbers[1]


def test_another_number_of_ranks_is_said(caplog: Any) -> None:
    state = RandomState()
    state.load_state_dict(RandomState().state_dict())
    state.on_train_start(trainer(ranks=2), None)  # type: ignore[arg-type]
    assert "1 ranks, this run has 2" in caplog.text
