"""Checks of the units and forms of coordinates: pixels are expected; shares, percent and corners are common."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding
from sapiens2_lit.data.checks.pose_labels import Index, PoseLabels

_LEAST_SIDE = 8  # pixels: an image whose labels could fill 0..1 has no people
_LEAST_SIDE_PER_CENT = 150  # so that 100 is not the place of an edge
_LEAST_PEOPLE_PER_CENT = 4
_PEOPLE_LOOKED_AT = 5000  # people of a file whose points are compared with boxes in full precision


class UnitCoordinates(Check[PoseLabels]):
    """Keypoints or boxes in 0..1, as YOLO, Label Studio and MediaPipe write them."""

    name = "unit_coordinates"
    looks_at = PoseLabels
    severity = "error"

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        people = subject.people
        large = (subject.sizes == 0).any(axis=1) | (subject.sizes >= _LEAST_SIDE).all(axis=1)
        rows = np.flatnonzero(people & large)
        for field in ("keypoints", "bbox"):
            values = _coordinates(subject, rows, field)
            if len(values) < 2 or values.min() < 0 or values.max() > 1 or values.max() == 0:
                continue
            yield self.finding(
                subject,
                f"all `{field}` lie in 0..1: they look like shares of the image, not pixels.",
                f"multiply x{_widths(field)} by the image's `width`, y{_heights(field)} by its `height`, and write "
                "pixels",
                count=len(rows),
                total=len(rows),
                examples=(subject.example(row, field, _text(subject, row, field)) for row in rows),
            )


class PerCentCoordinates(Check[PoseLabels]):
    """Keypoints or boxes in percent of the image, as Label Studio keeps them."""

    name = "per_cent_coordinates"
    looks_at = PoseLabels
    severity = "error"

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        rows = np.flatnonzero(subject.people & (subject.sizes >= _LEAST_SIDE_PER_CENT).all(axis=1))
        if len(rows) < _LEAST_PEOPLE_PER_CENT or len(rows) < subject.people.sum():
            return
        for field in ("keypoints", "bbox"):
            values = _coordinates(subject, rows, field)
            if not len(values) or values.min() < 0 or values.max() > 100 or not values.max() > 50:
                continue
            yield self.finding(
                subject,
                f"all `{field}` lie in 0..100, in images of {_size_text(subject)}: they look like percent of the "
                "image, not pixels.",
                f"multiply x{_widths(field)} by the image's `width` / 100, y{_heights(field)} by its `height` / 100, "
                "and write pixels",
                count=len(rows),
                total=len(rows),
                examples=(subject.example(row, field, _text(subject, row, field)) for row in rows),
            )


class CornerBoxes(Check[PoseLabels]):
    """Boxes as x1, y1, x2, y2 instead of x, y, width, height."""

    name = "corner_boxes"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        with np.errstate(invalid="ignore"):
            positive = (subject.box[:, 2:] > 0).all(axis=1)
        rows = np.flatnonzero(subject.people & positive)
        if not len(rows):
            return
        box, size = subject.box[rows], subject.sizes[rows]
        ends = np.where(size > 0, size, np.inf) + 1.0
        corners = (box[:, 2:] > box[:, :2]).all(axis=1) & (box[:, 2:] <= ends).all(axis=1)
        leaves = (box[:, :2] + box[:, 2:] > ends + 1.0).any(axis=1)
        if corners.mean() < 0.95:
            return
        gain, inside, counted = _gain_as_corners(subject, rows)
        if leaves.mean() > 0.5 and (counted == 0 or inside > 0.9):
            found, severity = (
                f"{leaves.sum()} of {len(rows)} boxes extend beyond their image, and all fit as corners",
                "error",
            )
        elif counted and gain > 0.1 and inside > 0.95:
            found, severity = "as corners they fit the keypoints much better", "warning"
        else:
            return
        yield self.finding(
            subject,
            f"`bbox` looks like x1, y1, x2, y2, expected x, y, width, height: {found}.",
            "write width = x2 - x1 and height = y2 - y1, or set --data.box keypoints",
            count=len(rows),
            total=len(rows),
            examples=(subject.example(row, "bbox", subject.box_text(row)) for row in rows),
            severity=severity,  # type: ignore[arg-type]  # one of two literals
        )


def _gain_as_corners(subject: PoseLabels, rows: npt.NDArray[np.int64]) -> tuple[float, float, int]:
    """Return how much better people fill their boxes as corners, the share of points inside, and the number of people.

    The overlap is measured between the keypoints' tight box and the box; people with fewer than three points are
    skipped.
    """
    labelled = subject.labelled[rows]
    enough = labelled.sum(axis=1) >= 3
    every = max(1, int(enough.sum()) // _PEOPLE_LOOKED_AT)
    rows, labelled = rows[enough][::every], labelled[enough][::every]
    if not len(rows):
        return 0.0, 0.0, 0
    place = subject.points[rows][..., :2].astype(np.float64)
    low = np.where(labelled[..., None], place, np.inf).min(axis=1)
    high = np.where(labelled[..., None], place, -np.inf).max(axis=1)
    box = subject.box[rows]
    as_sides = _overlap(low, high, box[:, :2], box[:, :2] + box[:, 2:])
    as_corners = _overlap(low, high, box[:, :2], box[:, 2:])
    inside = np.all((place >= box[:, None, :2] - 1) & (place <= box[:, None, 2:] + 1), axis=-1)
    return float((as_corners - as_sides).mean()), float(inside[labelled].mean()), len(rows)


def _overlap(
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the intersection over union (n,) of boxes given by their corners, (n, 2) each."""
    both = np.clip(np.minimum(high, end) - np.maximum(low, start), 0, None).prod(axis=1)
    union = (high - low).prod(axis=1) + np.clip(end - start, 0, None).prod(axis=1) - both
    return both / np.maximum(union, 1e-9)


def _coordinates(subject: PoseLabels, rows: npt.NDArray[np.int64], field: str) -> npt.NDArray[np.floating]:
    if field == "bbox":
        values = subject.box[rows].ravel()
        return values[~np.isnan(values)]
    return subject.points[rows][..., :2][subject.labelled[rows]].ravel()


def _text(subject: PoseLabels, row: Index, field: str) -> str:
    if field == "bbox":
        return subject.box_text(row)
    return subject.point_text(row, int(np.flatnonzero(subject.labelled[row])[0]))


def _size_text(subject: PoseLabels) -> str:
    low, high = subject.image_size.min(axis=0), subject.image_size.max(axis=0)
    least, most = (f"{size[0]} x {size[1]}" for size in (low, high))
    return least if least == most else f"{least} to {most}"


def _widths(field: str) -> str:
    return " and the box's width" if field == "bbox" else ""


def _heights(field: str) -> str:
    return " and the box's height" if field == "bbox" else ""
