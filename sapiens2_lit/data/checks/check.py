"""The base of checks: a check is a small class that examines one kind of subject and reports findings."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sapiens2_lit.data.checks.finding import Example, Finding, Severity, first_examples


class Subject(Protocol):
    """A thing to check: the labels of one file or folder, the images of one split, or all splits.

    Attributes:
        where: name of the subject in messages, such as "train (annotations/train.json)".
    """

    @property
    def where(self) -> str:
        """Name of the subject in messages."""
        ...


S = TypeVar("S", bound=Subject)
T = TypeVar("T")


@dataclass(frozen=True)
class Sampling:
    """Number of files that a check may open.

    Attributes:
        limit: the largest number of files; None for all files.
    """

    limit: int | None = None

    def pick(self, items: Sequence[T]) -> list[T]:
        """Return at most `limit` evenly spaced items, with the first and the last; the same ones at every call."""
        count = len(items)
        if self.limit is None or count <= self.limit:
            return list(items)
        if self.limit <= 1:
            return list(items[: self.limit])
        return [items[round(place * (count - 1) / (self.limit - 1))] for place in range(self.limit)]


class Check(ABC, Generic[S]):
    """One kind of fault.

    A subclass names the class of its subjects and yields one finding for each fault, and nothing for correct data.

    Attributes:
        name: name in `data.allow` and in reports: words joined by underscores.
        looks_at: the class of its subjects.
        severity: of its findings, unless `finding` gets another one.
        can_be_meant: whether data with such findings can still be correct.
        quick: whether `fit` runs it before the first step; other checks run only in `check`.
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
            sampling: which files may be opened; data in memory are examined as a whole.
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
        """Make a finding of this check in `subject`; it keeps the first five examples."""
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
