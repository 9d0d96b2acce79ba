"""Facts about mattes and albedo, and checks of them: trimaps, percent, numbers with fewer bits than their format."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding
from sapiens2_lit.data.checks.label_files import LabelFiles

_FEW = 4  # values of a picture that is no matte; a matte of a person has all values
_MIDDLE = (0.02, 0.98)  # limits, relative to the largest value, between nobody and a person
_LEAST_MIDDLE = 0.001  # share of a trimap's pixels that are unknown; it is 1 to 20 % in trimaps of people
_SCALED_MIDDLE = 0.01  # the same for a trimap whose borders were blurred by scaling
_MOST_COMMON = 0.5  # share of the most common value between 0 and 1; mattes have a few percent
_LOW = 0.4  # no matte of people stays below this share of 1; 100 of 255 is 0.39
_TOPS = {1.0: "shares", 100.0: "percent", 255.0: "8 bits", 1023.0: "10 bits", 4095.0: "12 bits"}
_AT_TOP = 0.98  # share of the largest value over all pictures: people are opaque somewhere, so most pictures reach it
_FEWEST = 3  # pictures that agree by more than chance
_LOW_16 = 4095 / 65535  # 12 bits, or fewer, in 16


@dataclass(frozen=True)
class ShareFacts:
    """Facts about one file of numbers in 0..1.

    Attributes:
        values: values that occur, at most five, as in the file.
        largest: the largest value, as a share of 1.
        middle: share of the pixels that are neither near 0 nor near the largest value.
        commonest: share of these pixels that hold their most common value.
        stored: the file's type, such as uint8.
        top: the largest number as in the file.
    """

    values: tuple[float, ...]
    largest: float
    middle: float
    commonest: float
    stored: str
    top: float


class MatteLabels(LabelFiles[ShareFacts]):
    """The mattes of one split."""


class ColorLabels(LabelFiles[ShareFacts]):
    """Colors in 0..1 of one split: albedo or foregrounds."""


def measure_shares(values: npt.NDArray[Any], shares: npt.NDArray[np.floating]) -> ShareFacts:
    """Measure the facts of one picture.

    Args:
        values: as in the file, of any shape.
        shares: the same in 0..1.
    """
    top = float(shares.max(initial=0))
    middle = (shares > _MIDDLE[0] * top) & (shares < _MIDDLE[1] * top)
    return ShareFacts(
        values=_few_values(values),
        largest=top,
        middle=float(middle.mean()) if middle.size else 0.0,
        commonest=_commonest(values[middle]),
        stored=str(values.dtype),
        top=float(values.max(initial=0)),
    )


def _commonest(values: npt.NDArray[Any]) -> float:
    """Return the share of the most common value."""
    return float(np.unique(values, return_counts=True)[1].max() / values.size) if values.size else 0.0


def _few_values(values: npt.NDArray[Any]) -> tuple[float, ...]:
    """Return the first five values that occur."""
    found: list[float] = []
    rest = values.ravel()
    while rest.size and len(found) <= _FEW:
        found.append(float(rest[0]))
        rest = rest[rest != rest[0]]
    return tuple(sorted(found))


class Trimaps(Check[MatteLabels]):
    """Trimaps in place of mattes: 0, one value for unknown, 1, and nothing between."""

    name = "trimaps"
    looks_at = MatteLabels
    severity = "error"

    def look(self, subject: MatteLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if one.facts.largest > 0]
        trimaps = [one for one in looked if _is_trimap(one.facts)]
        if not trimaps or 2 * len(trimaps) < len(looked):
            return
        yield self.finding(
            subject,
            f"{len(trimaps)} of {len(looked)} mattes have a single value between nobody and a person: these are "
            "trimaps, and their unknown part would be learned as half transparent",
            "set data.alphas to the folder of the mattes themselves, which have all shares from 0 to 1",
            count=len(trimaps),
            total=len(looked),
            examples=(
                one.example(
                    f"{one.facts.middle:.0%} unknown"
                    if len(one.facts.values) > _FEW
                    else f"values {_say(one.facts.values)}"
                )
                for one in trimaps
            ),
        )


class MatteRange(Check[MatteLabels]):
    """Mattes whose largest value is far below 1: percent, or numbers with fewer bits than the file's type."""

    name = "matte_range"
    looks_at = MatteLabels
    severity = "error"

    def look(self, subject: MatteLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if one.facts.largest > 0]
        if not looked or max(one.facts.largest for one in looked) > _LOW:
            return
        top = max(one.facts.top for one in looked)
        at_top = [one for one in looked if one.facts.top >= _AT_TOP * top]
        if 2 * len(at_top) < len(looked) or (len(looked) < _FEWEST and top not in _TOPS):
            return  # only some pictures are dim
        stored = looked[0].facts.stored
        full = {"uint8": 255, "uint16": 65535}.get(stored, 1)
        guess = _TOPS.get(top, "")
        yield self.finding(
            subject,
            f"the largest value of {len(looked)} mattes is {top:g}, in {stored}, where {full} stands for a person"
            f"{f': these seem to be {guess}' if guess else ''}",
            f"multiply the values by {full / top:g}",
            count=len(looked),
            total=len(looked),
            examples=(one.example(f"largest {one.facts.top:g}") for one in looked),
        )


class ColorRange(Check[ColorLabels]):
    """Colors of 8 or 12 bits in 16-bit files, which look nearly black."""

    name = "color_range"
    looks_at = ColorLabels
    severity = "error"

    def look(self, subject: ColorLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if one.facts.largest > 0]
        if not looked or max(one.facts.largest for one in looked) > _LOW_16:
            return
        top = max(one.facts.top for one in looked)
        yield self.finding(
            subject,
            f"the largest value of {len(looked)} files is {top:g}, in {looked[0].facts.stored}: all of them are nearly "
            "black",
            "write values that use the whole range of the format",
            count=len(looked),
            total=len(looked),
            examples=(one.example(f"largest {one.facts.top:g}") for one in looked),
        )


class HardMattes(Check[MatteLabels]):
    """Mattes of only 0 and 1: they teach hard borders."""

    name = "hard_mattes"
    looks_at = MatteLabels
    severity = "note"

    def look(self, subject: MatteLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if one.facts.largest > 0]
        hard = [one for one in looked if len(one.facts.values) <= 2]
        if not looked or len(hard) < len(looked):
            return
        yield self.finding(
            subject,
            f"all {len(looked)} mattes hold only two values: they are masks, and teach borders without hair",
            count=len(hard),
            total=len(looked),
        )


def _is_trimap(facts: ShareFacts) -> bool:
    """Whether a matte has one value between nobody and a person, or nearly so, like a scaled trimap."""
    few = len(facts.values) <= _FEW and facts.middle > _LEAST_MIDDLE
    return few or (facts.middle > _SCALED_MIDDLE and facts.commonest > _MOST_COMMON)


def _say(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
