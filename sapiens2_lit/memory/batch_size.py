"""Find the largest batch that fits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sapiens2_lit.memory.estimate import MemoryEstimate, estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import Networks

MOST = 4096  # largest number of images on a device that is considered


@dataclass(frozen=True)
class BatchLine:
    """Memory by batch size: every part of every phase grows linearly, and the fullest phase decides.

    Args:
        two: Estimate for a batch of two images. One image would not do: losses that process a batch in pieces, such as
            losses of many classes, do so from two images on.
        four: Estimate for a batch of four images.
    """

    two: MemoryEstimate
    four: MemoryEstimate

    def at(self, batch_size: int) -> MemoryEstimate:
        """Return the estimate for a batch size."""
        moments = {phase: dict(self._parts(phase, (batch_size - 2) / 2)) for phase in self.four.moments}
        return MemoryEstimate(replace(self.four.launch, batch_size=batch_size), moments)

    def _parts(self, phase: str, steps: float) -> Iterator[tuple[str, int]]:
        two, four = self.two.moments.get(phase, {}), self.four.moments[phase]
        for name, size in four.items():
            before = two.get(name, 0)
            yield name, max(0, round(before + (size - before) * steps))


def batch_line(module: Networks, launch: TrainingSetup) -> BatchLine:
    """Return the memory of a training by its batch size."""
    two, four = (estimate(module, replace(launch, batch_size=size)) for size in (2, 4))
    return BatchLine(two, four)


def largest_batch(module: Networks, launch: TrainingSetup, memory: float) -> MemoryEstimate | None:
    """Return the estimate of the largest batch that fits a card; None if not even one image does.

    Args:
        module: The networks.
        launch: How they are trained; its batch size is replaced.
        memory: Memory of the card in GiB.
    """
    one = estimate(module, replace(launch, batch_size=1))
    if not one.fits(memory):
        return None
    line = batch_line(module, launch)
    if not line.two.fits(memory):
        return one
    fits, beyond = 2, MOST
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        fits, beyond = (middle, beyond) if line.at(middle).fits(memory) else (fits, middle)
    return line.at(fits)
