"""Summarize the labels of each kind as tables and histograms, for the page of `sapiens2-lit check`."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks import Sampling, Subject
from sapiens2_lit.data.checks.cameras import CameraLabels
from sapiens2_lit.data.checks.depths import DepthLabels
from sapiens2_lit.data.checks.label_files import LabelFiles
from sapiens2_lit.data.checks.masks import MaskLabels
from sapiens2_lit.data.checks.mattes import MatteLabels
from sapiens2_lit.data.checks.normals import NormalLabels
from sapiens2_lit.data.checks.outlines import Axes
from sapiens2_lit.data.checks.pose_labels import PoseLabels
from sapiens2_lit.report.page import tables

Values = npt.NDArray[np.floating]

_ALL = Sampling()
_BINS = 24
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 130, 10, 20, 14


@dataclass(frozen=True)
class Numbers:
    """The summary of one subject: a title and pieces of HTML."""

    title: str
    parts: list[str]


def numbers_of(subjects: Sequence[Subject]) -> Iterator[Numbers]:
    """Yield tables and histograms of each subject that has some."""
    for subject in subjects:
        for kind, describe in _KINDS.items():
            if isinstance(subject, kind) and (parts := describe(subject)):
                yield Numbers(subject.where, parts)


def _pose(labels: PoseLabels) -> list[str]:
    rows = np.flatnonzero(labels.usable)
    if not len(rows):
        return []
    points, taught, sizes = labels.points[rows], labels.taught[rows], labels.sizes[rows]
    known = [int(one) for one in labels.columns if one >= 0]
    box = labels.box[rows]
    people = np.bincount(labels.image[rows])
    beyond = (points[..., :2] < -0.5) | (points[..., :2] > sizes[:, None] - 0.5)
    outside = beyond.any(axis=2) & taught & np.asarray((sizes > 0).all(axis=1))[:, None]
    charts = [
        histogram("height of the boxes", box[:, 3], "pixels"),
        histogram("width of the boxes", box[:, 2], "pixels"),
        histogram("labeled points of a person", taught[:, known].sum(axis=1), "points"),
        histogram("people in a picture that has some", people[people > 0], "people"),
    ]
    cells: list[tuple[str, ...]] = []
    for name, column in zip(labels.skeleton.keypoints, labels.columns, strict=True):
        if column < 0:
            cells.append((name, *["not in the file"], "–", "–"))
            continue
        count = int(taught[:, column].sum())
        occluded = int((taught[:, column] & (points[:, column, 2] == 1)).sum())
        cells.append(
            (name, f"{bar(count / len(rows))}{count}", str(occluded), str(int(outside[:, column].sum())))
        )
    header = ("point", "people", "occluded", "outside the picture")
    return [*_side_by_side(charts), tables(header, cells)]


def _masks(subject: MaskLabels) -> list[str]:
    looked = subject.looked(_ALL)
    if not looked:
        return []
    counts = np.stack([subject.class_counts(one.facts) for one in looked])
    total, files = counts.sum(axis=0), (counts > 0).sum(axis=0)
    counted, largest = max(int(total[:-1].sum()), 1), max(int(total[:-1].max()), 1)
    rows: list[tuple[str, ...]] = [
        (name, f"{bar(total[index] / largest)}{share(total[index] / counted)}", str(int(files[index])))
        for index, name in enumerate(subject.classes.names)
    ]
    ignored = share(total[-1] / max(int(total.sum()), 1))
    rows.append(("(ignored)", f"{ignored} of all", str(int(files[-1]))))
    return [tables(("class", "pixels", f"files of {len(looked)}"), rows)]


def _normals(subject: NormalLabels) -> list[str]:
    facts = [one.facts for one in subject.looked(_ALL)]
    if not facts:
        return []
    away = np.array([one.away for one in facts])
    charts = [histogram("pixels that face away from the camera", 100 * away, "% of a picture")]
    fits = [one.agreement.fit(Axes()) for one in facts if one.agreement is not None and one.agreement.enough]
    if fits:
        angles = np.degrees(np.arccos(np.clip(fits, -1, 1)))
        charts.append(
            histogram("angle to the normals of the depth beside", angles, "degrees, by mean cosine")
        )
    return _side_by_side(charts)


def _depths(subject: DepthLabels) -> list[str]:
    facts = [one.facts for one in subject.looked(_ALL)]
    unit = "no unit" if subject.relative else "m"
    charts = [
        histogram("median of a picture's depth", np.array([one.median for one in facts]), unit),
        histogram("farthest depth of a picture", np.array([one.farthest for one in facts]), unit),
        histogram("valid pixels", np.array([100 * one.counted for one in facts]), "% of a picture"),
    ]
    return _side_by_side(charts)


def _mattes(subject: MatteLabels) -> list[str]:
    facts = [one.facts for one in subject.looked(_ALL)]
    charts = [
        histogram("half transparent pixels", np.array([100 * one.middle for one in facts]), "% of a picture"),
        histogram("largest alpha of a picture", np.array([one.largest for one in facts]), "of 1"),
    ]
    return _side_by_side(charts)


def _cameras(subject: CameraLabels) -> list[str]:
    facts = [one.facts for one in subject.looked(_ALL)]
    angles = np.array([math.degrees(2 * math.atan(max(one.size) / 2 / one.fx)) for one in facts])
    ratios = np.array([one.fy / one.fx for one in facts])
    return _side_by_side(
        [
            histogram("field of view across the longer side", angles, "degrees"),
            histogram("fy / fx", ratios, "1 for square pixels"),
        ]
    )


_KINDS: dict[type[Any], Callable[[Any], list[str]]] = {
    PoseLabels: _pose,
    MaskLabels: _masks,
    NormalLabels: _normals,
    DepthLabels: _depths,
    MatteLabels: _mattes,
    CameraLabels: _cameras,
}
assert all(issubclass(kind, LabelFiles | PoseLabels) for kind in _KINDS)


def share(value: float) -> str:
    """Return a share in percent."""
    return "<0.01 %" if 0 < value < 1e-4 else f"{100 * value:.3g} %"


def bar(value: float) -> str:
    """Return a share of 1 as a bar."""
    return f'<span class="bar" style="width:{100 * min(max(float(value), 0), 1) * 0.8:.1f}px"></span>'


def _side_by_side(charts: Sequence[str]) -> list[str]:
    shown = [chart for chart in charts if chart]
    return [f'<div class="curves">{"".join(shown)}</div>'] if shown else []


def histogram(title: str, values: npt.NDArray[Any], unit: str) -> str:
    """Return a histogram as SVG with its range and median; empty without finite values.

    Args:
        title: Of the chart.
        values: Of any shape.
        unit: Of the values.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    caption = f"{escape(title)}: median {np.median(values):.4g} ({escape(unit)})"
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(1.0, abs(high)):
        return f"<figure><figcaption>{caption}, in all of {len(values)}</figcaption></figure>"
    whole = bool((values == np.rint(values)).all()) and high - low < _BINS
    edges = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, high, _BINS + 1)
    counts, _ = np.histogram(values, edges)
    step, base = (WIDTH - 2 * LEFT) / len(counts), HEIGHT - BOTTOM
    bars = "".join(
        f'<rect x="{LEFT + step * place:.1f}" y="{base - tall:.1f}" width="{max(step - 1, 1):.1f}" '
        f'height="{tall:.1f}"/>'
        for place, tall in enumerate((base - TOP) * counts / counts.max())
    )
    return (
        f'<figure><figcaption>{caption}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{bars}<path class="axis" d="M{LEFT} {base}H{WIDTH - LEFT}"/>'
        f'<text x="{LEFT}" y="{HEIGHT - 5}">{low:.4g}</text>'
        f'<text x="{WIDTH - LEFT}" y="{HEIGHT - 5}" text-anchor="end">{high:.4g}</text>'
        f'<text x="{LEFT}" y="{TOP - 4}">{int(counts.max())}</text></svg></figure>'
    )
