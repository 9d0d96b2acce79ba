"""Move the next batch to the device while the current step computes."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

Move = Callable[[dict[str, Any]], Callable[[], dict[str, Any]]]


def move_ahead(batches: Iterable[dict[str, Any]], move: Move) -> Iterator[dict[str, Any]]:
    """Yield the same batches in the same order; while one is used, a thread fetches and moves the next one.

    Args:
        batches: batches to fetch one at a time.
        move: starts to move a batch, and returns a function that waits for it and returns it.

    Raises:
        Exception: an error of fetching or moving, in place of the batch.
    """
    rest = iter(batches)

    def fetch() -> Callable[[], dict[str, Any]] | None:
        batch = next(rest, None)
        return None if batch is None else move(batch)

    with ThreadPoolExecutor(1, "move_ahead") as thread:
        coming = thread.submit(fetch)
        while (moved := coming.result()) is not None:
            coming = thread.submit(fetch)
            yield moved()


class SideStream:
    """Copies pinned tensors to a CUDA device while the device computes.

    Args:
        device: a CUDA device.
        stays: keys whose values stay on the host.
    """

    def __init__(self, device: torch.device, stays: frozenset[str] = frozenset()) -> None:
        self.device = device
        self.stays = stays
        self.stream = torch.cuda.Stream(device)

    def __call__(self, batch: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        with torch.cuda.stream(self.stream):
            moved = {key: value if key in self.stays else self._copy(value) for key, value in batch.items()}
            done = self.stream.record_event()

        def ready() -> dict[str, Any]:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(done)  # the device waits, not this process
            for value in moved.values():
                if isinstance(value, torch.Tensor) and value.is_cuda:
                    value.record_stream(current)  # its memory is free when that stream is done with it
            return moved

        return ready

    def _copy(self, value: Any) -> Any:
        return value.to(self.device, non_blocking=True) if isinstance(value, torch.Tensor) else value
