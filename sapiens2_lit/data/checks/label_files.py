"""Label files for checks: each is read and measured once for all checks."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Example, Finding
from sapiens2_lit.errors import DataError

F = TypeVar("F")

_EVALUATION_SHARE = (
    4  # checks of validation and test open a quarter of the sample, because one process made all labels
)
_MOST_THREADS = 4  # decoding releases the interpreter lock; each thread holds one picture's labels


@dataclass(frozen=True)
class Looked(Generic[F]):
    """The measurement of one label file.

    Attributes:
        file: of the label.
        image: its photograph.
        facts: the measured facts.
    """

    file: Path
    image: Path
    facts: F

    def example(self, found: str, field: str = "") -> Example:
        """Return this file as an example of a finding."""
        return Example(str(self.file), field=field, found=found, image=str(self.image))


@dataclass
class LabelFiles(Generic[F]):
    """The label files of one kind and one split.

    Args:
        where: name in messages.
        files: one for each image.
        images: their photographs, in the same order.
        measure: returns the facts of the file at a place; raises DataError if it cannot be read.
        skip_bad: whether `data.on_bad` is `skip`, so that unreadable files do not stop.
        training: whether these files are for training.
    """

    where: str
    files: Sequence[Path]
    images: Sequence[Path]
    measure: Callable[[int], F]
    skip_bad: bool = False
    training: bool = True
    _known: dict[int, F | DataError] = field(default_factory=dict, repr=False)

    def looked(self, sampling: Sampling) -> list[Looked[F]]:
        """Return the facts of the readable files among those that may be opened."""
        return [
            Looked(self.files[place], self.images[place], facts)
            for place, facts in self._measured(sampling)
            if not isinstance(facts, DataError)
        ]

    def broken(self, sampling: Sampling) -> list[Looked[DataError]]:
        """Return the files that may be opened but cannot be read, with the reason."""
        return [
            Looked(self.files[place], self.images[place], facts)
            for place, facts in self._measured(sampling)
            if isinstance(facts, DataError)
        ]

    def _measured(self, sampling: Sampling) -> list[tuple[int, F | DataError]]:
        if sampling.limit is not None and not self.training:
            sampling = Sampling(max(sampling.limit // _EVALUATION_SHARE, 1))
        places = sampling.pick(range(len(self.files)))
        missing = [place for place in places if place not in self._known]
        if missing:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            with ThreadPoolExecutor(min(_MOST_THREADS, cores)) as threads:
                self._known.update(zip(missing, threads.map(self._try, missing), strict=True))
        return [(place, self._known[place]) for place in places]

    def _try(self, place: int) -> F | DataError:
        try:
            return self.measure(place)
        except DataError as error:
            return error


class BrokenLabels(Check[LabelFiles[Any]]):
    """Label files that cannot be read, or have impossible values."""

    name = "broken_labels"
    looks_at = LabelFiles
    severity = "error"
    can_be_meant = False

    def look(self, subject: LabelFiles[Any], sampling: Sampling) -> Iterator[Finding]:
        broken = subject.broken(sampling)
        if not broken:
            return
        total = len(broken) + len(subject.looked(sampling))
        yield self.finding(
            subject,
            f"{len(broken)} of {total} files that were looked at cannot be used",
            "Repair or remove them; --data.on_bad skip trains on the others.",
            count=len(broken),
            total=total,
            examples=(Example(str(one.facts), image=str(one.image)) for one in broken),
            severity="warning" if subject.skip_bad else "error",
        )
