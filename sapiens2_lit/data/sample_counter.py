"""Counting samples across worker processes and epochs."""

import torch


class Tally:
    """Which of a dataset's samples something was found of; worker processes share it.

    Args:
        size: number of samples.
    """

    def __init__(self, size: int) -> None:
        self._noted = torch.zeros(size, dtype=torch.bool).share_memory_()

    def note(self, index: int) -> bool:
        """Count a sample; whether it is the first time."""
        first = not self._noted[index]
        self._noted[index] = True
        return bool(first)

    @property
    def count(self) -> int:
        """Number of different samples."""
        return int(self._noted.sum())

    def indices(self) -> list[int]:
        """Of these samples, increasing."""
        found: list[int] = self._noted.nonzero().flatten().tolist()
        return found
