"""A row of the table, and how two sides are timed in turn."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

Part = Callable[[Namespace], Iterator["Row"]]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        work: what is done, and on what.
        peer: who does it as well, with the version.
        ours, theirs: figures in `unit`, of which less is better.
        why: where we lose, the reason; or what must be known to read the row.
    """

    work: str
    peer: str
    ours: float
    theirs: float
    unit: str
    why: str = ""

    def __str__(self) -> str:
        figures = f"{self.ours:.3g} {self.unit} | {self.theirs:.3g} {self.unit}"
        ratio = f"{self.ours / self.theirs:.2f}" if self.theirs else "-"
        return f"| {self.work} | {self.peer} | {figures} | {ratio} | {self.why} |"


HEADER = "| work | peer | ours | peer's | ratio | |\n|---|---|---|---|---|---|"


def peer(package: str) -> str:
    return f"{package} {version(package)}"


def in_turns(repeats: int, *works: Callable[[], object]) -> list[float]:
    """CPU seconds of each, the least of some runs in turn, after one that does not count.

    The CPUs' time is what other work on the machine disturbs least; in turn, so that its drift meets all alike.
    """
    least = [float("inf")] * len(works)
    for repeat in range(repeats + 1):
        for index, work in enumerate(works):
            start = time.process_time()
            work()
            taken = time.process_time() - start
            if repeat:
                least[index] = min(least[index], taken)
    return least
