"""Checks of the places of points and boxes: in the image, in the box, or nowhere."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding, counted
from sapiens2_lit.data.checks.pose_labels import Index, PoseLabels
from sapiens2_lit.data.checks.pose_repairs import LEAST_OF_BOX, MOST_OF_BOX, outside_points, sentinel_points

_VISIBLE = 2  # visibility of visible points; occluded ones have 1
_BOX_MARGIN = (
    0.25  # share of the box's sides: labeled boxes are tight, points of feet and hair slightly outside
)


class MissingAsLabelled(Check[PoseLabels]):
    """Missing points written as labeled ones, at (0, 0) or (-1, -1)."""

    name = "missing_as_labelled"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        found = sentinel_points(subject.points)
        if not found.any():
            return
        rows = np.flatnonzero(found.any(axis=1))
        yield self.finding(
            subject,
            f"{counted(int(found.sum()), 'labeled point')} of {counted(len(rows), 'person', 'people')} at (0, 0) or "
            "(-1, -1), where tools put missing points; they are neither trained on nor evaluated.",
            "write v = 0 for points that are missing",
            count=found.sum(),
            total=subject.labelled.sum(),
            examples=(
                subject.example(row, "keypoints", subject.point_text(row, int(found[row].argmax())))
                for row in rows
            ),
        )


class PointsOutsideImage(Check[PoseLabels]):
    """Labeled points outside the declared image."""

    name = "points_outside_image"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        labelled = subject.labelled
        far = outside_points(subject.points, subject.sizes) & ~sentinel_points(subject.points)
        near = (
            outside_points(subject.points, subject.sizes, margin=0.0)
            & ~far
            & ~sentinel_points(subject.points)
        )
        if near.any():
            yield self.finding(
                subject,
                f"{near.sum()} labeled points lie outside their image by less than a tenth of its side; they are used.",
                count=near.sum(),
                total=labelled.sum(),
                severity="note",
            )
        if not far.any():
            return
        rows = np.flatnonzero(far.any(axis=1))
        most = far.sum() > 0.5 * labelled.sum()
        yield self.finding(
            subject,
            f"{far.sum()} of {labelled.sum()} labeled points lie far outside their image; they are neither "
            "trained on nor evaluated.",
            "the unit, the order of x and y, or the image's `width` or `height` is wrong: points are in pixels of the "
            "upright image"
            if most
            else "write v = 0 for points that are not in the image",
            count=far.sum(),
            total=labelled.sum(),
            examples=(
                subject.example(row, "keypoints", f"{subject.point_text(row, int(far[row].argmax()))} in an image of "
                f"{subject.sizes[row, 0]} x {subject.sizes[row, 1]}")
                for row in rows
            ),
            severity="error" if most else "warning",
        )  # fmt: skip


class PointsOutsideBox(Check[PoseLabels]):
    """People with most points outside their box: another unit, order or person."""

    name = "points_outside_box"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        with np.errstate(invalid="ignore"):
            boxed = subject.people & (subject.box[:, 2:] > 0).all(axis=1)
        if subject.box_source != "label" or not boxed.any():
            return
        labelled = _seen(subject.labelled & ~sentinel_points(subject.points), subject.points[..., 2])
        boxed &= labelled.any(axis=1)
        box = subject.box.astype(np.float32)[:, None]
        room = _BOX_MARGIN * box[..., 2:]
        place = subject.points[..., :2]
        with np.errstate(invalid="ignore"):
            outside = place < box[..., :2] - room
            outside |= place > box[..., :2] + box[..., 2:] + room
        out = (outside.any(axis=-1) & labelled).sum(axis=1)
        bad = boxed & (out > 0.5 * labelled.sum(axis=1))
        if not bad.any():
            return
        rows = np.flatnonzero(bad)
        every = bad.sum() >= max(1, 0.9 * boxed.sum())
        yield self.finding(
            subject,
            f"most labeled points of {len(rows)} of {boxed.sum()} people lie outside their own `bbox`"
            + (
                ": points and boxes differ in unit or order, or belong to different people." if every else "."
            ),
            "points and boxes are in pixels of the upright image, boxes as x, y, width, height; --data.box keypoints "
            "takes the tight boxes of the points",
            count=len(rows),
            total=boxed.sum(),
            examples=(subject.example(row, "keypoints", _first_point_and_box(subject, row)) for row in rows),
            severity="error" if every else "warning",
        )


def _seen(labelled: npt.NDArray[np.bool_], visibility: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return the visible points among labeled ones if a file marks them: boxes may show only the visible part."""
    visible = labelled & (visibility == _VISIBLE)
    return visible if visible.any() else labelled


class ExchangedCoordinates(Check[PoseLabels]):
    """Points in the order y, x instead of x, y: exchanged, they fit the boxes."""

    name = "exchanged_coordinates"
    looks_at = PoseLabels
    severity = "error"

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        with np.errstate(invalid="ignore"):
            rows = np.flatnonzero(subject.people & (subject.box[:, 2:] > 0).all(axis=1))
        labelled = (subject.labelled & ~sentinel_points(subject.points))[rows]
        if not labelled.any():
            return
        box = subject.box[rows].astype(np.float32)[:, None]
        start = box[..., :2] - 1
        end = start + box[..., 2:] + 2
        place = subject.points[rows, :, :2]
        inside = np.all((place >= start) & (place <= end), axis=-1)[labelled].mean()
        turned = place[..., ::-1]
        exchanged = np.all((turned >= start) & (turned <= end), axis=-1)[labelled].mean()
        if inside > 0.8 or exchanged < 0.97:
            return
        yield self.finding(
            subject,
            f"{100 * inside:.0f} % of the labeled points lie in their person's `bbox`, and {100 * exchanged:.0f} % if "
            "x and y are exchanged: `keypoints` look like y, x, v, expected x, y, v.",
            "write x before y",
            count=len(rows),
            total=len(rows),
            examples=(subject.example(row, "keypoints", _first_point_and_box(subject, row)) for row in rows),
        )


class FlatBoxes(Check[PoseLabels]):
    """Boxes without width or height, written by tools that label only points."""

    name = "flat_boxes"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        rows = np.flatnonzero(subject.flat)
        if not len(rows):
            return
        total = int(subject.people.sum())
        most = len(rows) > 0.5 * total
        yield self.finding(
            subject,
            f"`bbox` of {len(rows)} of {total} labeled people has no width or no height; they are left out.",
            "--data.box keypoints takes the tight boxes of the keypoints instead",
            count=len(rows),
            total=total,
            examples=(
                subject.example(
                    row, "bbox", f"{subject.box_text(row)}, expected a width and a height above 0"
                )
                for row in rows
            ),
            severity="error" if most else "warning",
        )


class Areas(Check[PoseLabels]):
    """Areas that are missing or impossible, which AP depends on."""

    name = "areas"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        people = subject.people & subject.made_up
        missing = people & np.isnan(subject.area)
        wrong = np.flatnonzero(people & ~missing)
        total = int(subject.people.sum())
        if missing.any():
            yield self.finding(
                subject,
                f"`area` of {missing.sum()} of {total} labeled people is missing; AP uses 0.53 of the box.",
                count=missing.sum(),
                total=total,
                severity="note",
            )
        if len(wrong):
            yield self.finding(
                subject,
                f"`area` of {len(wrong)} of {total} labeled people is no area of a person; AP uses 0.53 of the box.",
                f"write the area in square pixels, {LEAST_OF_BOX:g} to {MOST_OF_BOX:g} times the box's area, or leave "
                "`area` out",
                count=len(wrong),
                total=total,
                examples=(subject.example(row, "area", f"{subject.area[row]:g}") for row in wrong),
            )


def _first_point_and_box(subject: PoseLabels, row: Index) -> str:
    return (
        f"{subject.point_text(row, int(subject.labelled[row].argmax()))}, `bbox` is {subject.box_text(row)}"
    )
