"""Work on many things at once whose results come in order, with so many bytes between the ends and no more."""

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
    """`map(function, items)`, some at a time in `pool`; `items` are taken by the thread that takes the results.

    Closing it, or an error, waits for what runs and drops what does not run yet.

    Args:
        function: run by the pool.
        items: taken when there is room, while results of earlier ones are waited for.
        pool: threads.
        size: bytes that an item and its result take.
        limit: bytes of all items whose results have not been taken; one item is always let in.

    Raises:
        Exception: whatever `function` or `items` raises, behind the results of the items before.
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
        for future, _ in reversed(waiting):  # so that none begins whose predecessor never will, see `Turn`
            future.cancel()
        for future, _ in waiting:
            if not future.cancelled():
                future.exception()


class Turn:
    """The place of a thing in the order, for what threads of `in_order` do one after the other.

    A thread waits for threads that have begun before it, and for no others. Whoever has a turn must `end` it.

    Args:
        before: the turn of the thing before; None of the first.
    """

    def __init__(self, before: "Turn | None") -> None:
        self._before = before
        self._over = threading.Event()

    def wait(self) -> None:
        """Until all turns before have ended."""
        if self._before is not None:
            self._before._over.wait()
            self._before = None  # else all turns since the first would be kept

    def end(self) -> None:
        """Let the next one do its work, whatever has become of this one."""
        self._over.set()


def ahead(items: Generator[T, None, None], size: Callable[[T], int], limit: int) -> Generator[T, None, None]:
    """Yield the same items, made by a thread that is ahead of who takes them by `limit` bytes, or by one item.

    Closing it closes `items` and ends the thread.

    Raises:
        Exception: whatever `items` raises, behind the items before it.
    """
    reader = _Reader(items, size, limit)
    try:
        yield from reader
    finally:
        reader.stop()


class _Reader(Generic[T]):
    """A thread that iterates, and what it has found."""

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
        """End the thread; what it has found is dropped."""
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
        except BaseException as error:  # told to who takes the items
            self.error = error
        finally:
            self.items.close()
            with self.changed:
                self.ended = True
                self.changed.notify_all()
