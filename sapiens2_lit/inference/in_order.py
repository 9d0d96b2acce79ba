"""Work on many items at once and return results in order, with a limit on the bytes in between."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MEBIBYTE = 1 << 20


def in_order(
    function: Callable[[T], R], items: Iterable[T], pool: Executor, size: Callable[[T], int], limit: int
) -> Generator[R, None, None]:
    """Do what `map(function, items)` does, several items at a time in `pool`; the calling thread takes the items.

    Closing the generator, or an error, waits for running calls and drops those that have not started.

    Args:
        function: Run by the pool.
        items: Taken when there is room, while the caller waits for earlier results.
        pool: Threads.
        size: Returns the bytes that an item and its result take.
        limit: Bytes of all items whose results have not been taken; one item is always allowed.

    Raises:
        Exception: Whatever `function` or `items` raises, after the results of earlier items.
    """
    waiting: deque[tuple[Future[R], int]] = deque()
    source = iter(items)
    held, more = 0, True
    error: Exception | None = None
    try:
        while more or waiting:
            if waiting and (waiting[0][0].done() or not more or held >= limit):
                future, taken = waiting.popleft()
                held -= taken
                try:
                    result = future.result()
                finally:
                    del future
                yield result
                del result
                continue
            try:
                item = next(source)
            except StopIteration:
                more = False
                continue
            except Exception as of_items:
                error, more = of_items, False
                continue
            taken = size(item)
            held += taken
            waiting.append((pool.submit(function, item), taken))
            del item
        if error is not None:
            raise error
    finally:
        for future, _ in reversed(
            waiting
        ):  # last first, so that no call starts whose predecessor never will, see `Turn`
            future.cancel()
        for future, _ in waiting:
            if not future.cancelled():
                future.exception()


class Turn:
    """An item's place in the order, for work that threads of `in_order` do one after the other.

    A thread waits only for threads that started before it. A thread that has a turn must `end` it.

    Args:
        before: The previous item's turn; None for the first.
    """

    def __init__(self, before: "Turn | None") -> None:
        self._before = before
        self._over = threading.Event()

    def wait(self) -> None:
        """Wait until all earlier turns have ended."""
        if self._before is not None:
            self._before._over.wait()
            self._before = None  # otherwise all turns since the first would stay in memory

    def end(self) -> None:
        """Let the next item proceed, whatever has become of this one."""
        self._over.set()


def ahead(items: Generator[T, None, None], size: Callable[[T], int], limit: int) -> Generator[T, None, None]:
    """Yield the same items, produced by a thread that runs ahead of the consumer by `limit` bytes, or by one item.

    Closing it closes `items` and ends the thread.

    Args:
        items: Closed at the end.
        size: Returns the bytes that an item takes.
        limit: Bytes of items that have not been taken.

    Raises:
        Exception: Whatever `items` raises, after the items before it.
    """
    reader = _Reader(items, size, limit)
    try:
        yield from reader
    finally:
        reader.stop()


class _Reader(Generic[T]):
    """A thread that iterates, and the items that it has found."""

    def __init__(self, items: Generator[T, None, None], size: Callable[[T], int], limit: int) -> None:
        self.items = items
        self.size = size
        self.limit = limit
        self.changed = threading.Condition()
        self.found: deque[tuple[T, int]] = deque()
        self.held = 0
        self.stopped = self.ended = False
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._read, name="reading ahead", daemon=True)

    def __iter__(self) -> Iterator[T]:
        self.thread.start()
        while True:
            with self.changed:
                while not self.found and not self.ended:
                    self.changed.wait()
                if not self.found:
                    break
                item, taken = self.found.popleft()
                self.held -= taken
                self.changed.notify_all()
            yield item
            del item
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """End the thread and drop its items."""
        with self.changed:
            self.stopped = True
            self.found.clear()
            self.changed.notify_all()
        if self.thread.ident is not None:
            self.thread.join()

    def _read(self) -> None:
        try:
            for item in self.items:
                taken = self.size(item)
                with self.changed:
                    self.found.append((item, taken))
                    self.held += taken
                    del item
                    self.changed.notify_all()
                    while self.held >= self.limit and self.found and not self.stopped:
                        self.changed.wait()
                    if self.stopped:
                        return
        except BaseException as error:  # raised in the consumer's thread
            self.error = error
        finally:
            self.items.close()
            with self.changed:
                self.ended = True
                self.changed.notify_all()
