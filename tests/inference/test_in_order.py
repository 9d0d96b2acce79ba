"""Things that are worked on at once come in order, within a limit of bytes, and end together."""

import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from sapiens2_lit.inference.in_order import Turn, ahead, in_order


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_results_come_in_order_whatever_takes_longest(pool: ThreadPoolExecutor) -> None:
    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3 == 0))
        return item * item

    assert list(in_order(work, range(20), pool, lambda _: 1, 8)) == [item * item for item in range(20)]


def test_no_more_bytes_than_the_limit_and_one_item_at_least(pool: ThreadPoolExecutor) -> None:
    lock, held, most = threading.Lock(), [0], [0]

    def items() -> Iterator[int]:
        for item in range(30):
            with lock:
                held[0] += 10
                most[0] = max(most[0], held[0])
            yield item

    for limit, allowed in ((35, 50), (1, 20)):  # the last one let in, and the one that is being taken
        most[0] = held[0] = 0
        for _ in in_order(lambda item: item, items(), pool, lambda _: 10, limit):
            with lock:
                held[0] -= 10
        assert most[0] <= allowed


def test_an_error_comes_in_its_turn_and_nothing_runs_on(pool: ThreadPoolExecutor) -> None:
    running, lock = [0], threading.Lock()

    def work(item: int) -> int:
        with lock:
            running[0] += 1
        try:
            if item == 3:
                raise OSError("full")
            time.sleep(0.005)
            return item
        finally:
            with lock:
                running[0] -= 1

    found: list[int] = []
    with pytest.raises(OSError, match="full"):
        found.extend(in_order(work, iter(range(50)), pool, lambda _: 1, 10))
    assert running[0] == 0


def test_reading_ahead_stops_at_the_limit_and_when_it_is_closed() -> None:
    made, closed = [], []

    def items() -> Generator[int, None, None]:
        try:
            for item in range(1000):
                made.append(item)
                yield item
        finally:
            closed.append(threading.current_thread())

    found = ahead(items(), lambda _: 10, 40)
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    found.close()
    assert len(made) <= 5 + 4 + 1
    assert len(closed) == 1
    assert not closed[0].is_alive()


def test_reading_ahead_gives_all_and_then_the_error() -> None:
    def items() -> Generator[int, None, None]:
        yield from range(3)
        raise ValueError("broken")

    found: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(ahead(items(), lambda _: 1, 1))
    assert found == [0, 1, 2]


def test_turns_come_in_order_and_closing_leaves_nobody_waiting() -> None:
    done: list[int] = []

    def numbered() -> Iterator[tuple[int, Turn]]:
        turn = None
        for item in range(200):
            turn = Turn(turn)
            yield item, turn

    def work(one: tuple[int, Turn]) -> int:
        item, turn = one
        try:
            time.sleep(0.001 * (item % 4 == 0))
            turn.wait()
            done.append(item)
            return item
        finally:
            turn.end()

    for taken in (200, 30):
        done.clear()
        with (
            ThreadPoolExecutor(4) as pool,
            closing(in_order(work, numbered(), pool, lambda _: 1, 60)) as found,
        ):
            assert [next(found) for _ in range(taken)] == list(range(taken))
        assert done == list(range(len(done)))
