"""What a check found, as plain data that a terminal, a page or a JSON file can show."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal

Severity = Literal["note", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("note", "warning", "error")  # from harmless to stopping

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Example:
    """One place where something was found.

    Attributes:
        file: the annotation file, image or label file.
        entry: what in it, such as "annotation 17" or "image 3"; empty for the whole file.
        field: the field of that entry, such as "bbox"; empty if there is none.
        found: the found value, in words; empty if the finding is about the whole file.
        image: the photograph to show, where it is another file than `file`.
        other: a photograph to show beside it, such as the same one of another split.
    """

    file: str
    entry: str = ""
    field: str = ""
    found: str = ""
    image: str = ""
    other: str = ""

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.file, self.entry) if part)
        what = " ".join(part for part in (f"`{self.field}`" if self.field else "", self.found) if part)
        return f"{place}: {what}" if what else place


@dataclass(frozen=True)
class Finding:
    """What one check found in one place, with how bad it is and what to do.

    Attributes:
        check: the check's name, which `data.allow` takes.
        severity: note, warning or error.
        message: one sentence on what was found, with numbers.
        remedy: the setting or command that corrects it; empty for notes that need none.
        count: number of affected entries.
        total: how many were examined.
        examples: up to five affected entries.
        where: the subject, such as "train (annotations/train.json)".
        can_be_meant: whether data can be right all the same, so that `data.allow` is worth a word.
        allowed: `data.allow` names the check, so that it neither stops nor warns.
    """

    check: str
    severity: Severity
    message: str
    remedy: str = ""
    count: int = 0
    total: int = 0
    examples: tuple[Example, ...] = ()
    where: str = ""
    can_be_meant: bool = True
    allowed: bool = False

    @property
    def stops(self) -> bool:
        """Whether training must not begin."""
        return self.severity == "error" and not self.allowed

    @property
    def warns(self) -> bool:
        """Whether it is to be shown as a warning."""
        return self.severity == "warning" and not self.allowed

    def as_dict(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return asdict(self)


def first_examples(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Return at most five of the examples; further ones are not made."""
    return tuple(islice(examples, MAX_EXAMPLES))


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number and its noun, such as "1 person" or "3 people".

    Args:
        number: how many.
        one: the noun.
        many: its plural, where that is not `one` with an s.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
