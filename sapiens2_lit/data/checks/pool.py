"""Check for pictures with predicted labels that are also validated or tested on: a student must not learn from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Example, Finding


@dataclass(frozen=True)
class Pool:
    """The pictures with predicted labels that are, byte for byte, held out elsewhere.

    Attributes:
        where: for messages.
        total: number of such pictures in training.
        held_out: by split, `val` or a split of another dataset: pairs of a picture and its twin there.
    """

    where: str
    total: int
    held_out: Mapping[str, Sequence[tuple[Path, Path]]]


class HeldOutInPool(Check[Pool]):
    """Predicted labels for pictures of another dataset's validation or test split."""

    name = "held_out_in_pool"
    looks_at = Pool
    severity = "error"

    def look(self, subject: Pool, sampling: Sampling) -> Iterator[Finding]:
        for split, pairs in subject.held_out.items():
            if pairs:
                yield self.finding(
                    subject,
                    f"{len(pairs)} of {subject.total} pictures that a teacher labeled are, byte for byte, pictures "
                    f"of {split}: scores there would be on training pictures.",
                    "take them out of the pool and predict again; --held_out FOLDER of `predict` refuses such pictures",
                    count=len(pairs),
                    total=subject.total,
                    examples=(
                        Example(str(path), found=f"is {other}", image=str(path), other=str(other))
                        for path, other in pairs
                    ),
                )
