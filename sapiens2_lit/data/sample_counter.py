"""Count samples across worker processes and epochs."""

import torch


class Tally:
    """A set of a dataset's samples, shared by worker processes.

    Args:
        size: number of samples.
    """

    def __init__(self, size: int) -> None:
        self._noted = torch.zeros(size, dtype=torch.bool).share_memory_()

    def note(self, index: int) -> bool:
        """Add a sample; return whether it is new."""
        first = not self._noted[index]
        self._noted[index] = True
        return bool(first)

    @property
    def count(self) -> int:
        """Number of different samples."""
        return int(self._noted.sum())

    def indices(self) -> list[int]:
        """Return the indices of these samples, in increasing order."""
        found: list[int] = self._noted.nonzero().flatten().tolist()
        return found
