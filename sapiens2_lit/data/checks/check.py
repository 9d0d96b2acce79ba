"""What a check is: a small class that looks at one kind of subject and reports findings."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sapiens2_lit.data.checks.finding import Example, Finding, Severity, first_examples


class Subject(Protocol):
    """What checks look at: the labels of one file or folder, the images of one split, all splits.

    Attributes:
        where: what messages call it, such as "train (annotations/train.json)".
    """

    @property
    def where(self) -> str: ...


S = TypeVar("S", bound=Subject)
T = TypeVar("T")


@dataclass(frozen=True)
class Sampling:
    """How many files a check may open.

    Attributes:
        limit: the largest number of files; None for all of them.
    """

    limit: int | None = None

    def pick(self, items: Sequence[T]) -> list[T]:
        """Evenly spaced items, first and last included, at most `limit`; the same ones at every call."""
        count = len(items)
        if self.limit is None or count <= self.limit:
            return list(items)
        if self.limit <= 1:
            return list(items[: self.limit])
        return [items[round(place * (count - 1) / (self.limit - 1))] for place in range(self.limit)]


class Check(ABC, Generic[S]):
    """One kind of fault.

    A subclass says what it looks at and yields one finding for each fault that it sees; nothing where all is well.

    Attributes:
        name: what `data.allow` and reports call it: words joined by underscores.
        looks_at: the class of the subjects that it is given.
        severity: of its findings, unless `finding` is told another.
        can_be_meant: whether data with its findings can be right all the same.
        quick: whether `fit` runs it before the first step; others run in `check` alone.
    """

    name: ClassVar[str]
    looks_at: ClassVar[type]
    severity: ClassVar[Severity] = "warning"
    can_be_meant: ClassVar[bool] = True
    quick: ClassVar[bool] = True

    @abstractmethod
    def look(self, subject: S, sampling: Sampling) -> Iterator[Finding]:
        """Yield what is wrong with a subject.

        Args:
            subject: an instance of `looks_at`.
            sampling: which files may be opened; what is in memory is looked at as a whole.
        """

    def finding(
        self,
        subject: S,
        message: str,
        remedy: str = "",
        *,
        count: int,
        total: int,
        examples: Iterable[Example] = (),
        severity: Severity | None = None,
    ) -> Finding:
        """Make a finding of this check in `subject`; of the examples the first five are kept."""
        return Finding(
            check=self.name,
            severity=severity or self.severity,
            message=message,
            remedy=remedy,
            count=int(count),
            total=int(total),
            examples=first_examples(examples),
            where=subject.where,
            can_be_meant=self.can_be_meant,
        )


AnyCheck = Check[Any]
