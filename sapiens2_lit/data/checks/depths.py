"""Facts about depth and points, and checks of them: pixels without measurement, filled backgrounds, units."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding
from sapiens2_lit.data.checks.label_files import LabelFiles
from sapiens2_lit.data.checks.sentinels import is_sentinel

_USUAL = (0.25, 50.0)  # meters: usual median depth in photographs of people
_LEAST_FLAT = 0.1  # least share of a picture's depth at its farthest value that suggests a filled background
_GAP = 1.5  # the background is so many times as far as the farthest other depth
_SAME = 1e-3  # relative
_FEWEST = 3  # least number of files that share a value by more than chance


@dataclass(frozen=True)
class DepthFacts:
    """Facts about one depth file.

    Attributes:
        counted: share of valid pixels.
        sentinel: share of pixels with the largest number of a format, which are invalid.
        sentinel_value: that number, 0 if there is none.
        far: share of pixels beyond the farthest valid distance.
        median: of the valid depths, in meters; NaN if there is none.
        farthest: of the valid depths; NaN if there is none.
        farthest_share: share of the valid depths that equal the farthest one.
        before: the farthest of the other depths; NaN if there is none.
        floats: whether the file holds floats.
    """

    counted: float
    sentinel: float
    sentinel_value: float
    far: float
    median: float
    farthest: float
    farthest_share: float
    before: float
    floats: bool


@dataclass
class DepthLabels(LabelFiles[DepthFacts]):
    """The depth or the points of one split.

    Attributes:
        relative: whether their scale is unknown.
    """

    relative: bool = False


def measure_depth(
    values: npt.NDArray[Any], depth: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]
) -> DepthFacts:
    """Measure the facts of one picture.

    Args:
        values: 2-D (h, w) as in the file.
        depth: 2-D (h, w) in meters, or relative.
        valid: 2-D (h, w) bool.
    """
    none = is_sentinel(values)
    with np.errstate(invalid="ignore"):
        far = np.isfinite(depth) & (depth > 0) & ~valid & ~none
    counted = depth[valid]
    far &= depth > (counted.max() if counted.size else np.inf)
    farthest = float(counted.max()) if counted.size else np.nan
    at_end = counted >= farthest * (1 - 1e-6)
    rest = counted[~at_end]
    return DepthFacts(
        counted=float(valid.mean()),
        sentinel=float(none.mean()),
        sentinel_value=float(values[none].max()) if none.any() else 0.0,
        far=float(far.mean()),
        median=float(np.median(counted)) if counted.size else np.nan,
        farthest=farthest,
        farthest_share=float(at_end.mean()) if counted.size else 0.0,
        before=float(rest.max()) if rest.size else np.nan,
        floats=values.dtype.kind == "f",
    )


class UnmeasuredDepth(Check[DepthLabels]):
    """Pixels whose number means "nothing measured" or lies beyond all people: they are ignored."""

    name = "unmeasured_depth"
    looks_at = DepthLabels
    severity = "note"

    def look(self, subject: DepthLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = subject.looked(sampling)
        marked = [one for one in looked if one.facts.sentinel > 0]
        if marked:
            numbers = sorted({one.facts.sentinel_value for one in marked})
            share = float(np.mean([one.facts.sentinel for one in looked]))
            yield self.finding(
                subject,
                f"{share:.1%} of the pixels hold {', '.join(f'{number:g}' for number in numbers[:3])}, the largest "
                "number of a format, and are ignored",
                count=len(marked),
                total=len(looked),
                examples=(one.example(f"{one.facts.sentinel:.0%}") for one in marked),
            )
        far = [one for one in looked if one.facts.far > 0]
        if far:
            share = float(np.mean([one.facts.far for one in looked]))
            limit = "10 000 times the nearest twentieth" if subject.relative else "100 m"
            yield self.finding(
                subject,
                f"{share:.1%} of the pixels are farther than {limit} and are ignored",
                count=len(far),
                total=len(looked),
                examples=(one.example(f"{one.facts.far:.0%}") for one in far),
            )


class FlatDepth(Check[DepthLabels]):
    """The same farthest depth behind people in every file: a background that was filled, and is learned."""

    name = "flat_depth"
    looks_at = DepthLabels

    def look(self, subject: DepthLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = subject.looked(sampling)
        flat = [
            one
            for one in looked
            if one.facts.farthest_share >= _LEAST_FLAT
            and (one.facts.before * _GAP < one.facts.farthest or np.isnan(one.facts.before))
        ]
        if len(flat) < _FEWEST or 2 * len(flat) < len(looked):
            return
        values = np.array([one.facts.farthest for one in flat])
        usual = float(np.median(values))
        if np.mean(np.abs(values - usual) <= _SAME * usual) < 0.8:
            return  # each picture has another wall
        share = float(np.median([one.facts.farthest_share for one in flat]))
        unit = "" if subject.relative else " m"
        yield self.finding(
            subject,
            f"{share:.0%} of a picture's depth is exactly {usual:g}{unit}, far behind the rest, in {len(flat)} files: "
            "a background that was filled is used as a surface",
            "write 0 or NaN where there is no depth, or give data.valids",
            count=len(flat),
            total=len(looked),
            examples=(one.example(f"{one.facts.farthest_share:.0%}") for one in flat),
        )


class DepthUnit(Check[DepthLabels]):
    """Distances that are unusual in photographs of people: probably another unit."""

    name = "depth_unit"
    looks_at = DepthLabels

    def look(self, subject: DepthLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if np.isfinite(one.facts.median)]
        if subject.relative or not looked:
            return
        middle = float(np.median([one.facts.median for one in looked]))
        if _USUAL[0] <= middle <= _USUAL[1]:
            return
        odd = [one for one in looked if not _USUAL[0] <= one.facts.median <= _USUAL[1]]
        yield self.finding(
            subject,
            f"the median depth of most pictures is about {middle:.2g} m, expected {_USUAL[0]:g} to {_USUAL[1]:g} m for "
            "people",
            "set data.unit to the meters of one unit of the files, or data.relative to true if there is no unit",
            count=len(odd),
            total=len(looked),
            examples=(one.example(f"median {one.facts.median:.3g} m") for one in odd),
        )


class StretchedDepth(Check[DepthLabels]):
    """Depth that was stretched to 0..1 in each picture: it is no distance in meters."""

    name = "stretched_depth"
    looks_at = DepthLabels

    def look(self, subject: DepthLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if np.isfinite(one.facts.farthest)]
        stretched = [one for one in looked if one.facts.floats and abs(one.facts.farthest - 1) <= _SAME]
        if subject.relative or len(stretched) < _FEWEST or len(stretched) < 0.8 * len(looked):
            return
        yield self.finding(
            subject,
            f"the farthest depth is 1 in {len(stretched)} of {len(looked)} files: each seems to be stretched to 0..1, "
            "which is no distance in meters",
            "set data.relative (and relative of the head) to true, if larger is farther",
            count=len(stretched),
            total=len(looked),
            examples=(one.example(f"farthest {one.facts.farthest:g}") for one in stretched),
        )
