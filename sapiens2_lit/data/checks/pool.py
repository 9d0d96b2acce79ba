"""Pictures that a teacher has labelled, and that are validated or tested on: a student must not learn from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Example, Finding


@dataclass(frozen=True)
class Pool:
    """The pictures of a pool that are, byte for byte, held out elsewhere.

    Attributes:
        where: for messages.
        total: pictures of the pool that are trained on.
        held_out: by split, `val` or that of another dataset, the pool's pictures and their twins.
    """

    where: str
    total: int
    held_out: Mapping[str, Sequence[tuple[Path, Path]]]


class HeldOutInPool(Check[Pool]):
    """A pool of pseudo-labels that holds pictures of another dataset's validation or test."""

    name = "held_out_in_pool"
    looks_at = Pool
    severity = "error"

    def look(self, subject: Pool, sampling: Sampling) -> Iterator[Finding]:
        for split, pairs in subject.held_out.items():
            if pairs:
                yield self.finding(
                    subject,
                    f"{len(pairs)} of {subject.total} pictures that a teacher has labelled are, byte for byte, those "
                    f"of {split}: scores on them are of pictures that were trained on.",
                    "take them out of the pool and predict again; --held_out FOLDER of `predict` refuses such pictures",
                    count=len(pairs),
                    total=subject.total,
                    examples=(
                        Example(str(path), found=f"is {other}", image=str(path), other=str(other))
                        for path, other in pairs
                    ),
                )
