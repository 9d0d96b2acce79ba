"""Units of work: each is done by one process at a time, writes its files whole or not at all, and may be done again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Job = Callable[[Any], Any]  # does what a unit says; its answer can be pickled
BuildJob = Callable[[], Job]  # called once by each worker, such as to load networks; can be pickled


@dataclass(frozen=True)
class Unit:
    """A part of the work.

    Attributes:
        name: for messages, such as `shard 3/8`.
        content: what the job is given; can be pickled.
    """

    name: str
    content: Any


class Engine(Protocol):
    """What runs units."""

    def run(self, build: BuildJob, units: Sequence[Unit]) -> Iterator[Any]:
        """Do all units; gives the answer of each when it is done, in any order.

        Raises:
            Interrupted: a signal came; what is there is whole.
            SapiensError: what a job raised; the message begins with the unit's name.
        """
