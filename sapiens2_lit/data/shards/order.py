"""An order of training samples that reads few shards at a time, and depends only on seed and epoch.

The shards follow one another in a drawn order; each sample then moves back by a drawn part of a window of shards. So at
any time samples come from that many shards plus one, and new shards begin steadily, not all at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.shards.paths import ShardPath, any_opened

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShardOrder:
    """The places of training samples in shards.

    Attributes:
        shard: (N,) number of each sample's shard; samples outside shards have a number each.
        offset: (N,) offset of each sample in its shard.
        reach: largest number of samples by which one moves back.
    """

    shard: Indices
    offset: Indices
    reach: int

    @property
    def fingerprint(self) -> int:
        """A number above 0 that identifies the order."""
        return 1 + crc32(self.shard.tobytes() + self.offset.tobytes() + str(self.reach).encode())

    def draw(
        self, sizes: Sequence[int], counts: Sequence[int], rng: np.random.Generator, ranks: int
    ) -> list[Indices]:
        """Return the samples of an epoch for each rank: the same number for each rank, and no sample for two ranks.

        Args:
            sizes: number of samples of each source, in the dataset's order.
            counts: number of samples of each source in an epoch.
            rng: source of the draws.
            ranks: number of ranks.
        """
        chosen, places, start = [np.empty(0, np.int64)], [np.empty(0)], 0
        for size, count in zip(sizes, counts, strict=True):
            rounds = [start + self._through(start, size, rng) for _ in range(count // size if size else 0)]
            if size and (rest := count % size):
                part = np.zeros(size, bool)
                part[rng.permutation(size)[:rest]] = True
                whole = self._through(start, size, rng)
                rounds.append(start + whole[part[whole]])
            chosen += rounds
            places.append((np.arange(count) + 0.5) / max(1, count))  # sources are spread evenly
            start += size
        order = np.concatenate(chosen)[np.argsort(np.concatenate(places), kind="stable")]
        moved = np.arange(len(order)) + rng.random(len(order)) * self.reach
        each = len(order) // ranks
        parts = [slice(rank * each, (rank + 1) * each) for rank in range(ranks)]
        return [order[part][np.argsort(moved[part], kind="stable")] for part in parts]

    def _through(self, start: int, size: int, rng: np.random.Generator) -> Indices:
        """Return the samples of a source, shard after shard, (size,)."""
        shard, offset = self.shard[start : start + size], self.offset[start : start + size]
        turn = rng.permutation(int(self.shard.max()) + 1)
        return np.lexsort((offset, turn[shard]))


def shard_order(paths: Iterable[Path], window: int | None) -> ShardOrder | None:
    """Return the order of samples that lie in shards; None for folders, or if all shards fit into the window.

    Args:
        paths: the image of each sample.
        window: number of shards, or None.
    """
    if window is None or not any_opened():
        return None
    numbers: dict[tuple[str, int], int] = {}
    shard: list[int] = []
    offset: list[int] = []
    alone: list[int] = []
    for path in paths:
        place = _place_of(path)
        if place is None:
            alone.append(len(shard))
        root, own, start = place or ("", 0, 0)
        shard.append(numbers.setdefault((root, own), len(numbers)) if place is not None else -1)
        offset.append(start)
    if len(numbers) <= window:
        return None
    found = np.array(shard, np.int64)
    found[alone] = len(numbers) + np.arange(len(alone))
    reach = round(window * (len(found) - len(alone)) / len(numbers))
    return ShardOrder(found, np.array(offset, np.int64), max(1, reach))


def _place_of(path: Path) -> tuple[str, int, int] | None:
    """Return the packed folder, the shard and the offset of a file; None if it lies in no shard."""
    found = path.place() if isinstance(path, ShardPath) else None
    if found is None or (entry := found[2]) is None or entry.shard is None:
        return None
    return found[0].root, entry.shard, entry.offset
