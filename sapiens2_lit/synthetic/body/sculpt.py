"""Put parts and landmarks on posed bones, with paints in the coordinates of the rest pose.

Paints of body and clothes get points in meters in the rest pose, with the origin between the hips: so stripes continue
from the trunk to the sleeves, and a hem is a height. Positions are given for the left side and mirrored on the right.
"""

from collections.abc import Iterable, Mapping
from math import sqrt

import numpy as np

from sapiens2_lit.synthetic.body.bones import JOINTS
from sapiens2_lit.synthetic.body.parts import Array, Landmark, Paint, Part, Person
from sapiens2_lit.synthetic.dataset.classes import BodyClass

Triple = tuple[float, float, float]


class Sculptor:
    """Collects the parts of one posed person.

    Args:
        bones: (4, 4) of each joint in the person's frame.
        rest: (4, 4) of each joint in its parent's frame, given for the left side.
    """

    def __init__(self, bones: Mapping[str, Array], rest: Mapping[str, Array]) -> None:
        self.bones = bones
        self.parts: list[Part] = []
        self.landmarks: dict[str, Landmark] = {}
        self._origins = _rest_origins(rest)

    def cone(
        self,
        bone: str,
        start: Triple,
        end: Triple,
        radii: tuple[float, float],
        paint: Paint,
        *,
        front: Triple = (0.0, 0.0, 1.0),
        stretch: tuple[float, float] = (1.0, 1.0),
        flat: float = 1.0,
    ) -> None:
        """Add a rounded cone in a bone's frame.

        Args:
            bone: the joint that carries it.
            start: one end of its axis, in meters from the joint.
            end: the other end of its axis.
            radii: at its ends, across `front`.
            paint: of points in the rest pose.
            front: direction to which the cone's z axis is as close as its axis allows.
            stretch: factors on the radii to the side and to the `front`.
            flat: height of the round ends relative to their radius; below 1 for hems and cuffs.
        """
        side = -1.0 if bone.startswith("right_") else 1.0
        (ax, ay, az), (bx, by, bz), (fx, fy, fz) = start, end, front
        ax, bx, fx = side * ax, side * bx, side * fx
        yx, yy, yz = bx - ax, by - ay, bz - az
        length = sqrt(yx * yx + yy * yy + yz * yz)
        assert length > flat * abs(radii[0] - radii[1]), "one end of the cone lies inside the other"
        yx, yy, yz = yx / length, yy / length, yz / length
        xx, xy, xz = yy * fz - yz * fy, yz * fx - yx * fz, yx * fy - yy * fx
        size = sqrt(xx * xx + xy * xy + xz * xz)
        xx, xy, xz = xx / size, xy / size, xz / size
        zx, zy, zz = xy * yz - xz * yy, xz * yx - xx * yz, xx * yy - xy * yx
        u, w = stretch
        local = np.array(
            (
                (xx * u, yx * flat, zx * w, ax),
                (xy * u, yy * flat, zy * w, ay),
                (xz * u, yz * flat, zz * w, az),
                (0.0, 0.0, 0.0, 1.0),
            )
        )
        self._add(bone, local, length / flat, radii, paint)

    def ellipsoid(
        self, bone: str, center: Triple, semi_axes: Triple, paint: Paint, *, rotation: Array | None = None
    ) -> None:
        """Add an ellipsoid in a bone's frame, with `semi_axes` along the columns of `rotation` (3, 3)."""
        (x, y, z), (a, b, c) = center, semi_axes
        local = np.array(((a, 0.0, 0.0, x), (0.0, b, 0.0, y), (0.0, 0.0, c, z), (0.0, 0.0, 0.0, 1.0)))
        if rotation is not None:
            local[:3, :3] = rotation * np.asarray(semi_axes)
        if bone.startswith("right_"):
            local[0] *= -1.0
            local[:, 0] *= -1.0  # mirrors the ellipsoid without mirroring its frame
        self._add(bone, local, 0.0, (1.0, 1.0), paint)

    def mark(self, name: str, bone: str, position: Triple, depth: float, labels: Iterable[int]) -> None:
        """Add a landmark in a bone's frame; `depth` and `labels` as in `Landmark`."""
        self.landmarks[name] = Landmark(self.point(bone, position), depth, frozenset(map(int, labels)))

    def point(self, bone: str, position: Triple) -> Array:
        """Return the place (3,) in the person's frame of a position in a bone's frame."""
        frame = self.bones[bone]
        x, y, z = position
        return frame[:3, :3] @ (-x if bone.startswith("right_") else x, y, z) + frame[:3, 3]

    def local(self, bone: str, point: Array) -> Triple:
        """Return the position in a bone's frame of a point (3,) of the person; the inverse of `point`."""
        frame = self.bones[bone]
        x, y, z = frame[:3, :3].T @ (point - frame[:3, 3])
        return float(-x if bone.startswith("right_") else x), float(y), float(z)

    def rest_height(self, bone: str) -> float:
        """Return the height of a joint above the hips in the rest pose, in meters."""
        return float(self._origins[bone][1])

    def lower(self, by: float) -> None:
        """Move everything down by some meters, with the bones."""
        for frame in (*self.bones.values(), *(part.frame for part in self.parts)):
            frame[1, 3] -= by
        for landmark in self.landmarks.values():
            landmark.position[1] -= by

    def person(self) -> Person:
        """Return the person with all parts and landmarks added so far."""
        return Person(self.parts, self.landmarks)

    def _add(self, bone: str, local: Array, length: float, radii: tuple[float, float], paint: Paint) -> None:
        chart = local.copy()
        chart[:3, 3] += self._origins[bone]
        self.parts.append(Part(self.bones[bone] @ local, length, radii, paint, chart))


def sided(side: str, name: str) -> BodyClass:
    """Return the class of a limb of one side, such as the left foot for "left" and "FOOT"."""
    return BodyClass[f"{side.upper()}_{name}"]


def _rest_origins(rest: Mapping[str, Array]) -> dict[str, Array]:
    """Return the place (3,) of each joint in the rest pose, from between the hips, in meters."""
    origins: dict[str, Array] = {}
    for name, joint in JOINTS.items():
        offset = rest[name][:3, 3]
        if name.startswith("right_"):
            offset = offset * (-1.0, 1.0, 1.0)
        origins[name] = offset if joint.parent is None else origins[joint.parent] + offset
    return origins
