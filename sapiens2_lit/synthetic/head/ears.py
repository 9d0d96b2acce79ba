"""Ears: their shape, paint and named points.

The chart of an ear is its outline as the unit disc seen from the side: u to the front, v along the ear toward its top.
Lengths are in head heights.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array, Part, ellipsoid, plain
from sapiens2_lit.synthetic.dataset.classes import BodyClass

Labels = npt.NDArray[np.uint8]
FORK = (-0.30, 0.22)  # where the antihelix divides into its two crura
ANTITRAGUS, LOBE = (0.22, -0.42), (0.12, -0.93)


@dataclass(frozen=True)
class Ear:
    """The left ear; the right ear is its mirror image.

    Attributes:
        center: (3,) in the head frame.
        size: half its height.
        tilt: radians by which its top leans back.
        flare: radians by which its rear edge stands off the head.
    """

    center: tuple[float, float, float]
    size: float
    tilt: float
    flare: float

    def chart(self, head: Array) -> tuple[Array, Array]:
        """Return u and v (N,) of points (N, 3) in the head frame."""
        z, y = head[:, 2] - self.center[2], head[:, 1] - self.center[1]
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return (z * cos + y * sin) / self._half_width, (y * cos - z * sin) / self.size

    def side_view(self, uv: Array) -> Array:
        """Return y and z (N, 2) in the head frame of points (N, 2) of the chart."""
        u, v = uv[:, 0] * self._half_width, uv[:, 1] * self.size
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return np.stack([self.center[1] + v * cos + u * sin, self.center[2] + u * cos - v * sin], axis=1)

    @property
    def _half_width(self) -> float:
        return 0.54 * self.size

    def part(self, side: int, color: Array) -> Part:
        """Return the left (side 1) or the right (-1) ear."""
        up = np.array([0.12 * side, np.cos(self.tilt), -np.sin(self.tilt)])
        up /= np.linalg.norm(up)
        out = np.array([side * np.cos(self.flare), 0.0, np.sin(self.flare)])
        out -= out @ up * up
        out /= np.linalg.norm(out)
        axes = np.stack([out, up, np.cross(out, up)], axis=1)
        center = np.array([side * self.center[0], *self.center[1:]])
        semi_axes = (0.024, self.size, self._half_width / np.cos(self.flare))
        part = ellipsoid(center, semi_axes, plain(color, BodyClass.FACE_NECK), rotation=axes)
        return replace(part, paint=EarPaint(self, color), chart=part.frame)


@dataclass(frozen=True)
class EarPaint:
    """Skin with the ear's rim, folds and hollow painted on, in the head's frame."""

    ear: Ear
    color: Array

    def __call__(self, points: Array) -> tuple[Array, Labels]:
        u, v = self.ear.chart(points)
        shade = np.ones(len(u))
        radius = np.hypot(u, v)
        groove = (np.abs(radius - 0.72) < 0.07) & ((v > 0.15) | (u < -0.35)) & (v > -0.45)
        shade[groove] = 0.80
        concha = ((u - 0.12) / 0.36) ** 2 + ((v + 0.08) / 0.34) ** 2
        shade -= 0.42 * np.clip(1.15 - concha, 0, 1)
        tragus = ((u - 0.5) / 0.13) ** 2 + ((v + 0.22) / 0.16) ** 2 < 1
        shade[tragus] = 0.97
        rgb = self.color * shade[:, None] * (1.0, 0.95, 0.95)
        return np.clip(rgb, 0, 1), np.full(len(u), BodyClass.FACE_NECK, dtype=np.uint8)


def ear_points() -> dict[str, tuple[float, float]]:
    """Return (u, v) of the left ear's points by their names in sociopticon308 without `l_`.

    The order of the midpoints is not documented; here they are numbered like those of the face: 1 in the middle, then
    the halves in turn from the start. The antihelix starts at the fork. The points of the inner helix begin where the
    helix rises from the head, and go over the top to the lobe.
    """
    antihelix = _arc([FORK, (-0.42, -0.12), ANTITRAGUS], (0.0, 0.25, 0.5, 0.75, 1.0))
    helix = np.radians(np.linspace(62, 232, 8))
    inner = {
        f"point_{number}_of_inner_helix": (0.72 * np.cos(a), 0.72 * np.sin(a))
        for number, a in enumerate(helix, 1)
    }
    inferior = (0.33, 0.42)
    last = inner["point_7_of_inner_helix"]
    return {
        "top_end_of_inferior_crus": inferior,
        "top_end_of_superior_crus": (-0.06, 0.60),
        "start_of_antihelix": antihelix[0],
        "midpoint_2_of_antihelix": antihelix[1],
        "midpoint_1_of_antihelix": antihelix[2],
        "midpoint_3_of_antihelix": antihelix[3],
        "end_of_antihelix": antihelix[4],
        "midpoint_1_of_inferior_crus": ((FORK[0] + inferior[0]) / 2, (FORK[1] + inferior[1]) / 2),
        **inner,
        "highest_point_of_antitragus": (ANTITRAGUS[0] + 0.04, ANTITRAGUS[1] + 0.03),
        "bottom_point_of_tragus": (0.47, -0.37),
        "protruding_point_of_tragus": (0.40, -0.22),
        "top_point_of_tragus": (0.47, -0.07),
        "start_point_of_crus_of_helix": (0.30, 0.06),
        "deepest_point_of_concha": (0.12, -0.10),
        "tip_of_ear_lobe": LOBE,
        # 22 and 15 are counted from 1 in this list: the tip of the lobe and point 7 of the inner helix
        "midpoint_between_22_15": ((LOBE[0] + last[0]) / 2, (LOBE[1] + last[1]) / 2),
        "bottom_connecting_point_of_ear_lobe": (0.50, -0.76),
        "top_connecting_point_of_helix": (0.60, 0.62),
    }


def _arc(ends: list[tuple[float, float]], at: tuple[float, ...]) -> list[tuple[float, float]]:
    """Return points of the parabola through three points at t = 0, 0.5 and 1."""
    first, middle, last = (np.array(end) for end in ends)
    points = [first * (1 - t) * (1 - 2 * t) + middle * 4 * t * (1 - t) + last * t * (2 * t - 1) for t in at]
    return [(float(point[0]), float(point[1])) for point in points]
