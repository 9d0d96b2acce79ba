"""Count what a run of `predict` has found, and warn of doubtful skeletons on the way."""

import logging
import sys
from pathlib import Path

from sapiens2_lit.inference.people.doubts import describe_doubts, doubtful
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame, Source

_SHOWN = 10  # photographs with doubtful skeletons that warnings name

log = logging.getLogger(__name__)


class Tally:
    """Counts of pictures and their people, and warnings of the first ten photographs with doubtful skeletons.

    Attributes:
        problems: A line for each picture that could not be predicted on.

    Args:
        people: Whether a head predicts people.
    """

    def __init__(self, people: bool) -> None:
        self.people = people
        self.problems: list[str] = []
        self.num_images = self.num_people = self.num_empty = self.num_doubtful = self.num_doubted_images = 0

    def add(self, frame: Frame, prediction: Prediction) -> None:
        """Count one picture."""
        self.num_images += 1
        head = next((person.head for person in prediction.instances), None)
        people = [
            person for person in prediction.instances if person.head == head
        ]  # heads see the same people
        doubts = len(doubtful(people))
        self.num_people += len(people) - doubts
        self.num_empty += len(people) == doubts
        self.num_doubtful += doubts
        self.num_doubted_images += doubts > 0
        named = frame.video is None and self.num_doubted_images <= _SHOWN  # not every frame of a video
        if doubts and named:
            more = "; the next ones are only counted" if self.num_doubted_images == _SHOWN else ""
            log.warning("%s: %s%s", frame.file, describe_doubts(people), more)

    def merge(self, other: "Tally") -> None:
        """Add what another part of the run has counted."""
        self.people |= other.people
        self.problems += other.problems
        for name in ("num_images", "num_people", "num_empty", "num_doubtful", "num_doubted_images"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def summary(self, left_out: int = 0) -> str:
        """Return the last line of a run.

        Args:
            left_out: Frames of a stream that were skipped for lack of time.
        """
        text = f"results of {count(self.num_images, 'image')}"
        if self.people and self.num_images:
            text += (
                f": {count(self.num_people, 'person', 'people')}, nobody on {count(self.num_empty, 'image')}"
            )
        if self.num_doubtful:
            text += (
                f"; {count(self.num_doubtful, 'skeleton')} on {count(self.num_doubted_images, 'image')} "
                f'{"is" if self.num_doubtful == 1 else "are"} doubtful and not drawn ("doubt" in json)'
            )
        if left_out:
            text += f"; {count(left_out, 'frame')} left out for lack of time"
        return text


def count(number: int, one: str, several: str | None = None) -> str:
    """Return a number and its noun in the right form.

    Args:
        number: Of the things.
        one: The noun in the singular.
        several: In the plural, if that is not the singular with an s.
    """
    return f"{number} {one if number == 1 else several or one + 's'}"


def report(out: Path, tally: Tally, source: Source, where: str = "") -> None:
    """Print what was done and what failed.

    Args:
        out: Folder of the results.
        tally: Of the run.
        source: Of the pictures.
        where: What the numbers are of, if not of the whole run; the start of the sentence.
    """
    left_out = 0 if source.stream is None else source.stream.num_left_out
    sys.stdout.write(f"{out}: {where}{tally.summary(left_out)}\n")
    if problems := [*source.problems, *tally.problems]:
        lines = "".join(f"  {problem}\n" for problem in problems)
        sys.stderr.write(
            f"\nerror: {len(problems)} of the files could not be predicted on, or not in whole:\n{lines}"
        )
