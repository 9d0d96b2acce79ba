"""Describe in a few readable lines what training uses."""

from collections.abc import Sequence

import numpy as np

from sapiens2_lit.data.checks.finding import counted
from sapiens2_lit.data.checks.pose_labels import PoseLabels

_FEW_POINTS = 24  # up to this number each point is listed by name
_WIDTH = 100


def describe_pose(files: Sequence[PoseLabels]) -> str:
    """Return pictures, people, points used per person and people left out, for each file."""
    lines = ["What is taught:"]
    for file in files:
        lines += _describe(file)
    return "\n".join(lines)


def _describe(file: PoseLabels) -> list[str]:
    rows = np.flatnonzero(file.usable)
    pictures = len(np.unique(file.image[rows]))
    known = file.columns[file.columns >= 0]
    each = file.taught[rows][:, known].sum(axis=1)
    lines = [
        f"  {file.where}: {counted(len(rows), 'person', 'people')} in {pictures} of "
        f"{counted(len(file.file_name), 'picture')}",
        f"    {len(known)} of the {file.skeleton.num_keypoints} points of {file.skeleton.name}"
        + (f" (the file has {file.source.num_keypoints})" if file.source.num_keypoints != len(known) else "")
        + (f"; {each.mean():.1f} a person, {each.min()} to {each.max()}" if len(rows) else ""),
    ]
    lines += [f"    {line}" for line in _points(file, rows)]
    left_out = ", ".join(f"{count} {reason}" for reason, count in file.skipped.items())
    lines.append(f"    left out: {left_out or 'nobody'}")
    return lines


def _points(file: PoseLabels, rows: "np.ndarray") -> list[str]:
    """Return how many people have each point, or each group of points if there are many."""
    if not len(rows):
        return []
    counts = file.taught[rows].sum(axis=0)
    named = [(name, int(column)) for name, column in zip(file.skeleton.keypoints, file.columns, strict=True)
             if column >= 0]  # fmt: skip
    each = counts[[column for _, column in named]]
    if each.min() == each.max() and len(named) > 1:
        return [f"each of them labeled in {counted(int(each[0]), 'person', 'people')}"]
    if len(named) <= _FEW_POINTS:
        return _wrap([f"{name} {counts[column]}" for name, column in named])
    parts = []
    for group, members in file.skeleton.groups.items():
        columns = [int(file.columns[member]) for member in members if file.columns[member] >= 0]
        if columns:
            share = 100 * counts[columns].sum() / (len(columns) * len(rows))
            parts.append(f"{group} {len(columns)} of {len(members)} points, {share:.0f} % labeled")
    if parts:
        return _wrap(parts)
    return _wrap([f"{name} {counts[column]}" for name, column in named[:_FEW_POINTS]] + ["..."])


def _wrap(parts: list[str]) -> list[str]:
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part) > _WIDTH:
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + part
    return lines
