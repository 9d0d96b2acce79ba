"""The parts of a person: rounded cones and ellipsoids, each with a class and a paint.

A part in its own frame is the convex hull of two spheres on the y axis, with radius `radii[0]` around the origin and
`radii[1]` around (0, length, 0). Its `frame` turns, moves and stretches it. Frames of a person: x to the person's left,
y up, z to the front, in meters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
# Points (N, 3) on a part's surface, in the part's chart -> sRGB colors (N, 3) in 0..1 and classes (N,) uint8.
# A named type, since closures evaluate their annotations each time they are made.
Painted = tuple[Array, npt.NDArray[np.uint8]]
Paint = Callable[[Array], Painted]


@dataclass(frozen=True)
class Part:
    """One smooth convex primitive.

    Attributes:
        frame: (4, 4), from the part's frame to the person's (later the world's or the camera's).
        length: distance of the two spheres' centers in the part's frame; 0 for one sphere or ellipsoid.
        radii: of the two spheres in the part's frame.
        paint: color and class of points on its surface. Parts with the same paint share its cost.
        chart: (4, 4), from the part's frame to the coordinates that the paint uses.
    """

    frame: Array
    length: float
    radii: tuple[float, float]
    paint: Paint
    chart: Array = field(default_factory=lambda: np.eye(4))

    def moved(self, transform: Array) -> "Part":
        """Return the part after another (4, 4) transform."""
        return replace(self, frame=transform @ self.frame)


@dataclass(frozen=True)
class Landmark:
    """A named point of the body.

    Attributes:
        position: (3,), in the person's frame (later the world's or the camera's).
        depth: largest distance in meters of the point behind the surface that shows it: slightly more than a limb's
            radius for a joint inside the limb, a few millimeters for a point on the surface.
        labels: classes of the surfaces that may show it.
    """

    position: Array
    depth: float
    labels: frozenset[int]

    def moved(self, transform: Array) -> "Landmark":
        """Return the landmark after a (4, 4) transform."""
        return Landmark(transform[:3, :3] @ self.position + transform[:3, 3], self.depth, self.labels)


@dataclass(frozen=True)
class Person:
    """Parts and named landmarks: every name of coco17, coco_wholebody133 and sociopticon308."""

    parts: list[Part]
    landmarks: dict[str, Landmark] = field(default_factory=dict)

    def moved(self, transform: Array) -> "Person":
        """Return the person after a (4, 4) transform."""
        frames = transform @ np.stack([part.frame for part in self.parts])
        parts = [
            Part(frame, p.length, p.radii, p.paint, p.chart)
            for frame, p in zip(frames, self.parts, strict=True)
        ]
        if not self.landmarks:
            return Person(parts)
        positions = np.stack([landmark.position for landmark in self.landmarks.values()])
        positions = positions @ transform[:3, :3].T + transform[:3, 3]
        landmarks = {
            name: Landmark(position, landmark.depth, landmark.labels)
            for position, (name, landmark) in zip(positions, self.landmarks.items(), strict=True)
        }
        return Person(parts, landmarks)


def plain(color: npt.ArrayLike, label: int) -> Paint:
    """Return a paint with one sRGB color (3,), 0..1, and one class."""
    rgb = np.asarray(color, dtype=np.float64)

    def paint(points: Array) -> Painted:
        return np.tile(rgb, (len(points), 1)), np.full(len(points), label, dtype=np.uint8)

    return paint


def rounded_cone(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    radii: tuple[float, float],
    paint: Paint,
    *,
    front: npt.ArrayLike = (0.0, 0.0, 1.0),
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Part:
    """Return the hull of spheres around `start` and `end`.

    Args:
        start: center (3,) of the first sphere.
        end: center (3,) of the second sphere.
        radii: of the two spheres, in meters.
        paint: of its surface; the part's frame is in meters along y, and in meters / stretch along x and z.
        front: direction to which the part's z axis is as close as its y axis, from start to end, allows.
        stretch: factors on the part's x and z axes, for limbs and trunks that are not round.
    """
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    length = float(np.linalg.norm(b - a))
    assert length > abs(radii[0] - radii[1]), "one sphere lies inside the other: use an ellipsoid"
    y = (b - a) / length
    x = cross(y, np.asarray(front, dtype=np.float64))
    size = np.linalg.norm(x)
    assert size > 1e-9, "`front` must not be parallel to the axis"
    x /= size
    z = cross(x, y)
    frame = np.eye(4)
    frame[:3, 0], frame[:3, 1], frame[:3, 2], frame[:3, 3] = x * stretch[0], y, z * stretch[1], a
    return Part(frame, length, radii, paint)


def cross(a: Array, b: Array) -> Array:
    """Return the cross product of two vectors (3,); NumPy's function takes ten times as long for them."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def ellipsoid(
    center: npt.ArrayLike, semi_axes: npt.ArrayLike, paint: Paint, *, rotation: npt.ArrayLike | None = None
) -> Part:
    """Return an ellipsoid, which is the unit sphere in its own frame.

    Args:
        center: (3,), in meters.
        semi_axes: (3,) in meters, along the columns of `rotation`.
        paint: of its surface.
        rotation: (3, 3); None for the axes of the person.
    """
    frame = np.eye(4)
    axes = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
    frame[:3, :3] = axes * np.asarray(semi_axes, dtype=np.float64)
    frame[:3, 3] = np.asarray(center, dtype=np.float64)
    return Part(frame, 0.0, (1.0, 1.0), paint)


def paint_points(
    parts: list[Part], part: npt.NDArray[np.int64], points: Array
) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Return sRGB albedo (N, 3) and classes (N,) of surface points; each paint is called once.

    Args:
        parts: all parts.
        part: (N,) index of each point's part.
        points: (N, 3), in the frame of the parts.
    """
    albedo, labels = np.empty_like(points), np.empty(len(points), dtype=np.uint8)
    order = np.argsort(part, kind="stable")
    found, starts = np.unique(part[order], return_index=True)
    if not len(found):
        return albedo, labels
    seen = [parts[number] for number in found.tolist()]
    charts = np.stack([one.chart for one in seen]) @ np.linalg.inv(np.stack([one.frame for one in seen]))
    charted = np.empty_like(points)
    shares: dict[int, list[npt.NDArray[np.int64]]] = {}
    for one, chart, places in zip(seen, charts, np.split(order, starts)[1:], strict=True):
        charted[places] = points[places] @ chart[:3, :3].T + chart[:3, 3]
        shares.setdefault(id(one.paint), []).append(places)
    paints = {id(one.paint): one.paint for one in seen}
    for name, share in shares.items():
        places = np.concatenate(share)
        albedo[places], labels[places] = paints[name](charted[places])
    return albedo, labels
