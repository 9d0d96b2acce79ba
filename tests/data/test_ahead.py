"""Batches that a thread moves ahead are those of the loader, and errors come in their place."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from sapiens2_lit.data.ahead import SideStream, move_ahead
from sapiens2_lit.errors import DataError


def batches(number: int, broken: int = -1) -> Iterator[dict[str, Any]]:
    for index in range(number):
        if index == broken:
            raise DataError(f"batch {index}")
        yield {"index": index}


def test_order_is_kept_and_one_batch_is_ahead() -> None:
    begun = [threading.Event() for _ in range(5)]

    def move(batch: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        begun[batch["index"]].set()
        return lambda: batch

    for place, batch in enumerate(move_ahead(batches(5), move)):
        assert batch == {"index": place}
        if place + 1 < 5:
            assert begun[place + 1].wait(60)  # while this one is used
        assert not any(event.is_set() for event in begun[place + 2 :])


def test_errors_come_in_the_place_of_their_batch() -> None:
    seen = []
    with pytest.raises(DataError, match="batch 2"):
        seen.extend(batch["index"] for batch in move_ahead(batches(4, broken=2), lambda batch: lambda: batch))
    assert seen == [0, 1]


def test_a_loop_that_ends_early_leaves_no_thread() -> None:
    moved = move_ahead(batches(9), lambda batch: lambda: batch)
    next(moved)
    moved.close()  # type: ignore[attr-defined]  # a generator
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("move_ahead")]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_side_stream_gives_what_it_was_given() -> None:
    batch = {
        "image": torch.arange(1 << 20, dtype=torch.uint8).pin_memory(),
        "sample": ["a"],
        "seed": torch.ones(2),
    }
    moved = SideStream(torch.device("cuda", 0), frozenset({"seed"}))(batch)()
    assert moved["image"].is_cuda
    assert torch.equal(moved["image"].cpu(), batch["image"])
    assert moved["seed"] is batch["seed"]
    assert moved["sample"] == ["a"]
