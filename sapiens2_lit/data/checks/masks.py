"""Facts about masks, and checks of them: useless value codes, classes that never occur, palettes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding
from sapiens2_lit.data.checks.label_files import LabelFiles, Looked
from sapiens2_lit.vocabularies import IGNORED, Classes
from sapiens2_lit.vocabularies.classes_loader import SHIPPED
from sapiens2_lit.vocabularies.file import Color
from sapiens2_lit.vocabularies.spelling import has_side

_LEAST_IGNORED = 0.005  # share of a mask's pixels: an ignored border is smaller
_MOST_ABSENT = 0.5  # share of a shipped vocabulary's classes that a dataset with other labels lacks
_SHOWN = 12  # classes that a message names


@dataclass(frozen=True)
class MaskFacts:
    """Facts about one mask file.

    Attributes:
        counts: (256,) pixels of each value in the file.
        colors: RGB of each value that occurs in a palette image; empty for other images.
        of_classes: the values are already classes: the file holds colors or outlines.
    """

    counts: npt.NDArray[np.int64]
    colors: dict[int, Color]
    of_classes: bool = False


class MaskLabels(LabelFiles[MaskFacts]):
    """The masks of one split.

    Args:
        where, files, images, skip_bad, training: as in `LabelFiles`.
        classes: the vocabulary.
        measure: returns the facts of the file at a place.
    """

    def __init__(
        self,
        where: str,
        files: Sequence[Path],
        images: Sequence[Path],
        classes: Classes,
        measure: Callable[[int], MaskFacts],
        skip_bad: bool = False,
        training: bool = True,
    ) -> None:
        super().__init__(where, files, images, measure, skip_bad, training)
        self.classes = classes

    def class_counts(self, facts: MaskFacts) -> npt.NDArray[np.int64]:
        """Return (C + 1,): pixels of each class of a mask, and of the ignored ones."""
        if facts.of_classes:
            return np.append(facts.counts[: self.classes.num_classes], facts.counts[IGNORED])
        lookup = self.classes.lookup().astype(np.int64)
        found = np.zeros(self.classes.num_classes + 1, dtype=np.int64)
        np.add.at(found, np.where(lookup == IGNORED, -1, lookup)[lookup >= 0], facts.counts[lookup >= 0])
        return found

    def total(self, sampling: Sampling) -> npt.NDArray[np.int64]:
        """Return (C + 1,): the sum of `class_counts` over all masks that were opened."""
        counts = [self.class_counts(one.facts) for one in self.looked(sampling)]
        return np.sum(counts, axis=0, initial=0) + np.zeros(self.classes.num_classes + 1, dtype=np.int64)


def measure_mask(values: npt.NDArray[np.uint8], path: Path) -> MaskFacts:
    """Measure the facts of one mask.

    Args:
        values: 2-D (h, w) as in the file.
        path: the file, whose palette is read.
    """
    counts = np.bincount(values.ravel(), minlength=256).astype(np.int64)
    with path.open("rb") as file, Image.open(file) as image:
        palette = image.getpalette() if image.mode == "P" else None
    colors = {}
    if palette:
        for value in np.flatnonzero(counts).tolist():
            if 3 * value + 2 < len(palette):
                red, green, blue = palette[3 * value : 3 * value + 3]
                colors[value] = (red, green, blue)
    return MaskFacts(counts, colors)


class IgnoredPeople(Check[MaskLabels]):
    """An ignored value that stands for people: masks of 0 and 255."""

    name = "ignored_people"
    looks_at = MaskLabels
    severity = "error"

    def look(self, subject: MaskLabels, sampling: Sampling) -> Iterator[Finding]:
        looked, classes = subject.looked(sampling), subject.classes
        total = subject.total(sampling)
        present = np.flatnonzero(total[:-1])
        hit = [one for one in looked if _ignored_share(subject.class_counts(one.facts)) > _LEAST_IGNORED]
        if len(present) != 1 or classes.num_classes < 2 or 2 * len(hit) < len(looked):
            return
        only = int(present[0])
        values = _values_of(looked, classes)
        kept = [value for value in values if classes.lookup()[value] == only]
        lost = [value for value in values if classes.lookup()[value] == IGNORED]
        other = next((index for index in classes.foreground if index != only), 1 - only % 2)
        pairs = [f"{value}: {classes.names[only]}" for value in kept]
        pairs += [f"{value}: {classes.names[other]}" for value in lost]
        yield self.finding(
            subject,
            f"the masks hold only the values {', '.join(map(str, values))}, and {', '.join(map(str, lost))} is "
            f"ignored: only '{classes.names[only]}' is learned",
            f"in the classes file: remap: {{{', '.join(pairs)}}}"
            + ("" if classes.num_classes == 2 else f", of classes [{classes.names[only]}, person]"),
            count=len(hit),
            total=len(looked),
            examples=(one.example(_say_values(one, classes)) for one in hit),
        )


class OneClass(Check[MaskLabels]):
    """Masks of a single class: there is nothing to learn."""

    name = "one_class"
    looks_at = MaskLabels

    def look(self, subject: MaskLabels, sampling: Sampling) -> Iterator[Finding]:
        looked, classes = subject.looked(sampling), subject.classes
        total = subject.total(sampling)
        present = np.flatnonzero(total[:-1])
        if not looked or len(present) > 1 or classes.num_classes < 2 or not subject.training:
            return
        if len(present) == 1 and any(IgnoredPeople().look(subject, sampling)):
            return  # another check gives the reason
        what = f"only '{classes.names[present[0]]}'" if len(present) else "no class at all"
        yield self.finding(
            subject,
            f"{len(looked)} masks hold {what}, of {classes.num_classes} classes of {classes.name}: nothing can be told "
            "apart",
            "look at the masks, at data.masks, and at `remap` and `ignore_index` of the classes",
            count=len(looked),
            total=len(looked),
            examples=(one.example(_say_values(one, classes)) for one in looked),
        )


class AbsentClasses(Check[MaskLabels]):
    """Classes that occur in no mask; a warning for the user's classes if every mask was opened."""

    name = "absent_classes"
    looks_at = MaskLabels

    def look(self, subject: MaskLabels, sampling: Sampling) -> Iterator[Finding]:
        looked, classes = subject.looked(sampling), subject.classes
        counts = subject.total(sampling)[:-1]
        absent = [classes.names[index] for index in np.flatnonzero(counts == 0)]
        if not absent or len(absent) >= classes.num_classes - 1 or not subject.training:
            return  # all classes occur, or one class, which another check reports
        everything = len(looked) == len(subject.files)
        own = classes.name not in SHIPPED
        most = len(absent) > _MOST_ABSENT * classes.num_classes
        bad = most or (own and everything)
        shown = ", ".join(absent[:_SHOWN]) + (", ..." if len(absent) > _SHOWN else "")
        yield self.finding(
            subject,
            f"{len(absent)} of {classes.num_classes} classes of {classes.name} are in none of {len(looked)} masks"
            f"{'' if everything else f' (of {len(subject.files)}) that were looked at'}: {shown}",
            "leave them out of the classes, or look at `remap` and the masks" if bad else "",
            count=len(absent),
            total=classes.num_classes,
            severity="warning" if bad else "note",
        )


class UnpairedClasses(Check[MaskLabels]):
    """Classes named left or right without the other side: mirrored views teach the wrong side."""

    name = "unpaired_classes"
    looks_at = MaskLabels

    def look(self, subject: MaskLabels, sampling: Sampling) -> Iterator[Finding]:
        classes = subject.classes
        alone = [
            name
            for index, name in enumerate(classes.names)
            if classes.swap[index] == index and has_side(name)
        ]
        if alone:
            yield self.finding(
                subject,
                f"the classes {', '.join(alone)} name a side and have no partner: mirrored views teach them on "
                "the other side",
                "name the pairs by `swaps` in the classes file, or set data.augment.flip 0 and model.flip_test false",
                count=len(alone),
                total=classes.num_classes,
            )


class PaletteMasks(Check[MaskLabels]):
    """Palette images with another meaning of the indices in each file, such as converted colored masks."""

    name = "palette_masks"
    looks_at = MaskLabels
    severity = "error"

    def look(self, subject: MaskLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if one.facts.colors]
        by_value: dict[int, dict[Color, Looked[MaskFacts]]] = {}
        for one in looked:
            for value, color in one.facts.colors.items():
                by_value.setdefault(value, {}).setdefault(color, one)
        several = {value: colors for value, colors in by_value.items() if len(colors) > 1}
        if several:
            value, colors = next(iter(several.items()))
            yield self.finding(
                subject,
                f"{len(several)} indices have several colors in these files, such as {value}: palettes differ, so an "
                "index is not the same class everywhere. These are colored masks that were saved with a palette",
                _TO_INDICES,
                count=len(several),
                total=len(by_value),
                examples=(one.example(f"{value} is {color}") for color, one in colors.items()),
            )
        elif wrong := _other_classes(by_value, subject.classes):
            yield self.finding(
                subject,
                f"the palette differs from the colors of {subject.classes.name}: {', '.join(wrong[:3])}",
                _TO_INDICES,
                count=len(wrong),
                total=len(by_value),
                examples=(
                    one.example(f"{value} is {color}")
                    for value, colors in by_value.items()
                    for color, one in colors.items()
                ),
            )


_TO_INDICES = "in the classes file, give each class its `color` and set `palettes: colors` (docs/labels.md)"


def _other_classes(by_value: dict[int, dict[Color, Looked[MaskFacts]]], classes: Classes) -> list[str]:
    """Return indices that have another class's color.

    If most colors are colors of classes, all indices are compared; else only black.
    """
    lookup = classes.lookup()
    places = {color: index for index, color in enumerate(classes.colors)}
    pairs = [(value, color) for value, colors in by_value.items() for color in colors]
    known = [(value, places[color]) for value, color in pairs if color in places]
    if len(places) < classes.num_classes or 2 * len(known) <= len(pairs):
        black = [value for value, color in pairs if color == (0, 0, 0)]
        others = [
            value for value, color in pairs if lookup[value] == classes.background and value not in black
        ]
        known = (
            [(value, classes.background) for value in black]
            if others and classes.background is not None
            else []
        )
    return [
        f"{value} has the color of '{classes.names[index]}'"
        for value, index in known
        if lookup[value] not in (index, IGNORED)
    ]


def _ignored_share(counts: npt.NDArray[np.int64]) -> float:
    return float(counts[-1] / max(counts.sum(), 1))


def _values_of(looked: Sequence[Looked[MaskFacts]], classes: Classes) -> list[int]:
    counts = np.sum([one.facts.counts for one in looked], axis=0)
    return [int(value) for value in np.flatnonzero(counts)]


def _say_values(one: Looked[MaskFacts], classes: Classes) -> str:
    total = max(int(one.facts.counts.sum()), 1)
    values = np.flatnonzero(one.facts.counts)[:_SHOWN]
    return "values " + ", ".join(f"{value} ({one.facts.counts[value] / total:.0%})" for value in values)
