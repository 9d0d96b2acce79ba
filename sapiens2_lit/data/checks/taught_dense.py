"""Describe in a few lines what dense labels teach, from the files that checks opened."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sapiens2_lit.data.checks.cameras import CameraLabels
from sapiens2_lit.data.checks.check import Sampling, Subject
from sapiens2_lit.data.checks.depths import DepthLabels
from sapiens2_lit.data.checks.label_files import LabelFiles
from sapiens2_lit.data.checks.masks import MaskLabels
from sapiens2_lit.data.checks.mattes import ColorLabels, MatteLabels
from sapiens2_lit.data.checks.normals import NormalLabels

_MOST_NAMED = 40  # classes; of more classes the most common are named
_RARE = 0.0001  # smaller shares are written as "<0.01 %"


def describe_labels(subjects: Sequence[Subject], sampling: Sampling) -> list[str]:
    """Return lines about the label files among the subjects: how many were opened, and what they teach.

    Args:
        subjects: of one split.
        sampling: the same as for the checks, so that no file is read again.
    """
    lines = []
    for subject in subjects:
        for kind, describe in _KINDS.items():
            if isinstance(subject, kind):
                looked = len(subject.looked(sampling))
                count = f"{len(subject.files)} files"
                some = "" if looked == len(subject.files) else f", of which {looked} were looked at"
                lines.append(f"  {subject.where}: {count}{some}: {describe(subject, sampling)}")
    return lines


def _masks(subject: MaskLabels, sampling: Sampling) -> str:
    total = subject.total(sampling)
    counted = max(int(total[:-1].sum()), 1)
    order = [int(index) for index in np.argsort(-total[:-1], kind="stable")]
    named = [index for index in order if total[index]][:_MOST_NAMED]
    shares = ", ".join(f"{subject.classes.names[i]} {_percent(total[i] / counted)}" for i in named)
    absent = int((total[:-1] == 0).sum())
    missing = f"; {absent} of {len(order)} classes in none" if absent else ""
    ignored = total[-1] / max(int(total.sum()), 1)
    return f"{shares or 'no class'}{missing}; {_percent(ignored)} of the pixels are ignored"


def _normals(subject: NormalLabels, sampling: Sampling) -> str:
    facts = [one.facts for one in subject.looked(sampling)]
    pixels = float(np.mean([one.outline.pixels for one in facts])) if facts else 0.0
    return f"{pixels:.0f} pixels with a normal a picture (mean), frame {subject.frame}"


def _depths(subject: DepthLabels, sampling: Sampling) -> str:
    facts = [one.facts for one in subject.looked(sampling)]
    medians = [one.median for one in facts if np.isfinite(one.median)]
    counted = float(np.mean([one.counted for one in facts])) if facts else 0.0
    unit = "of no unit" if subject.relative else "m"
    if not medians:
        return "no valid depth"
    return (
        f"{_percent(counted)} of the pixels are valid; medians of the pictures {min(medians):.3g} to "
        f"{max(medians):.3g} {unit}"
    )


def _mattes(subject: MatteLabels, sampling: Sampling) -> str:
    facts = [one.facts for one in subject.looked(sampling)]
    empty = sum(one.largest == 0 for one in facts)
    middle = float(np.mean([one.middle for one in facts])) if facts else 0.0
    return f"{_percent(middle)} of the pixels are half transparent; {empty} mattes without a person"


def _colors(subject: ColorLabels, sampling: Sampling) -> str:
    facts = [one.facts for one in subject.looked(sampling)]
    return f"largest value {max((one.largest for one in facts), default=0):.2f} of 1"


def _cameras(subject: CameraLabels, sampling: Sampling) -> str:
    facts = [one.facts for one in subject.looked(sampling)]
    if not facts:
        return "none that can be read"
    angles = [np.degrees(2 * np.arctan(max(one.size) / 2 / one.fx)) for one in facts]
    return f"fields of view {min(angles):.0f} to {max(angles):.0f} degrees across the longer side"


def _percent(share: float) -> str:
    if 0 < share < _RARE:
        return "<0.01 %"
    return f"{100 * share:.3g} %"


_KINDS: dict[type[LabelFiles[Any]], Callable[[Any, Sampling], str]] = {
    MaskLabels: _masks,
    NormalLabels: _normals,
    DepthLabels: _depths,
    MatteLabels: _mattes,
    ColorLabels: _colors,
    CameraLabels: _cameras,
}
