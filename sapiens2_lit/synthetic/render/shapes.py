"""Exact intersection of rays with rounded cones and ellipsoids.

A sphere, an ellipsoid and the cone between two spheres are quadrics: points p with p'Gp + 2g'p + c = 0, where the left
side increases outward. A rounded cone is three of them, the cone between the circles in which it touches its spheres. A
ray from the origin meets a quadric at t with t²(d'Gd) + 2t(g'd) + c = 0, and enters it at the root with the minus sign
before the square root.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array, Part

Indices = npt.NDArray[np.int64]
NO_HIT = np.inf


@dataclass(frozen=True)
class Quadrics:
    """All quadrics of a list of parts, in the parts' common frame; Q quadrics for P parts.

    Attributes:
        part: (Q,) index of each quadric's part.
        matrix: (Q, 3, 3) G, symmetric.
        vector: (Q, 3) g.
        constant: (Q,) c.
        axis: (Q, 4): `axis . (p, 1)` is a point's y in the part's frame.
        low, high: (Q,) limits of y between which the quadric bounds the part.
        box: (Q, 4) least and greatest x / z, least and greatest y / z of the covered area, seen from the origin.
    """

    part: Indices
    matrix: Array
    vector: Array
    constant: Array
    axis: Array
    low: Array
    high: Array
    box: Array

    @classmethod
    def of(cls, parts: list[Part]) -> "Quadrics":
        """Return the quadrics of parts, which all have one common frame."""
        inverse = np.linalg.inv(np.stack([part.frame for part in parts]))
        length = np.array([part.length for part in parts])
        radii = np.array([part.radii for part in parts])
        number = np.arange(len(parts))
        cones = number[length > 0]
        sine = (radii[cones, 0] - radii[cones, 1]) / length[cones]
        part = np.concatenate([number, cones, cones])
        across, along = np.ones(len(part)), np.ones(len(part))
        linear, constant = (
            np.zeros(len(part)),
            np.concatenate([-(radii[:, 0] ** 2), np.zeros(2 * len(cones))]),
        )
        ends, sides = slice(len(parts), len(parts) + len(cones)), slice(len(parts) + len(cones), None)
        # x² + (y - length)² + z² - r² of the second sphere
        linear[ends], constant[ends] = -length[cones], length[cones] ** 2 - radii[cones, 1] ** 2
        # cos² (x² + z²) - (r - y sin)² of the cone
        across[sides], along[sides] = 1 - sine**2, -(sine**2)
        linear[sides], constant[sides] = radii[cones, 0] * sine, -(radii[cones, 0] ** 2)
        low, high = np.full(len(part), -np.inf), np.full(len(part), np.inf)
        low[sides] = radii[cones, 0] * sine
        high[sides] = length[cones] + radii[cones, 1] * sine

        turn, shift = inverse[part, :3, :3], inverse[part, :3, 3]
        weights = np.stack([across, along, across], axis=1)
        weighted = turn * weights[:, :, None]
        matrix = np.swapaxes(turn, 1, 2) @ weighted
        own = weights * shift
        own[:, 1] += linear
        vector = np.einsum("qij,qi->qj", turn, own)
        total = (weights * shift**2).sum(1) + 2 * linear * shift[:, 1] + constant
        axis = np.concatenate([turn[:, 1], shift[:, 1:2]], axis=1)
        boxes = view_boxes(parts)
        box = np.concatenate([boxes[:, 0], boxes[cones, 1], hull(boxes[cones])])
        return cls(part, matrix, vector, total, axis, low, high, box)

    @cached_property
    def along(self) -> tuple[Array, Array]:
        """Return for rays d = (x, y, 1) d'Gd as factors (6, Q) of x², y², 1, xy, x, y, and g'd as factors (3, Q)."""
        return binary_form(self.matrix), np.ascontiguousarray(self.vector.T)

    @cached_property
    def discriminant(self) -> Array:
        """Return (g'd)² - c d'Gd as factors (6, Q) of the same terms."""
        outer = self.vector[:, :, None] * self.vector[:, None]
        return binary_form(outer - self.constant[:, None, None] * self.matrix)

    def depths(self, which: Indices, x: Array, y: Array) -> Array:
        """Return the depths z at which rays (x, y, 1) from the origin enter quadrics, pair by pair.

        Args:
            which: (N,) of the quadrics.
            x: (N, ...) x of the rays for each.
            y: (N, ...) y of the rays for each.

        Returns:
            (N, ...) depths; infinite if the ray misses the part's share of the quadric.
        """
        factors = self.discriminant[:, which].reshape(6, -1, *(1,) * (x.ndim - 1))
        inside = (factors[0] * x + factors[3] * y + factors[4]) * x
        inside += (factors[1] * y + factors[5]) * y
        inside += factors[2]
        depth = np.full(x.shape, NO_HIT)
        hit = np.nonzero(inside > 0)
        quadric, x, y = which[hit[0]], x[hit], y[hit]
        square, linear = self.along
        a, b, axis = square[:, quadric], linear[:, quadric], self.axis[quadric].T
        across = (a[0] * x + a[3] * y + a[4]) * x + (a[1] * y + a[5]) * y + a[2]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = -(b[0] * x + b[1] * y + b[2] + np.sqrt(inside[hit])) / across
            own = found * (axis[0] * x + axis[1] * y + axis[2]) + axis[3]
            there = (found > 0) & (own >= self.low[quadric]) & (own <= self.high[quadric])
        depth[hit] = np.where(there, found, NO_HIT)
        return depth

    def normals(self, which: Indices, points: Array) -> Array:
        """Return outward unit normals (N, 3) of quadrics `which` (N,) at points (N, 3) on them."""
        gradient = np.einsum("nij,nj->ni", self.matrix[which], points) + self.vector[which]
        return gradient / np.linalg.norm(gradient, axis=1, keepdims=True)


def binary_form(matrix: Array) -> Array:
    """Return d'Md for rays d = (x, y, 1) as factors (6, Q) of x², y², 1, xy, x, y, for symmetric M (Q, 3, 3)."""
    return matrix[:, (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)].T * np.array([1.0, 1, 1, 2, 2, 2])[:, None]


def intersect(part: Part, origins: Array, directions: Array) -> Array:
    """Return how far rays go until they enter a part; inf for a miss.

    Args:
        part: the part.
        origins: (N, 3) of the rays.
        directions: (N, 3) of the rays; the result (N,) is in their lengths.
    """
    quadrics = Quadrics.of([part])
    nearest = np.full(len(directions), NO_HIT)
    for index in range(len(quadrics.part)):
        matrix, vector, axis = quadrics.matrix[index], quadrics.vector[index], quadrics.axis[index]
        a = np.einsum("ni,ij,nj->n", directions, matrix, directions)
        b = np.einsum("ni,ni->n", origins @ matrix + vector, directions)
        c = (
            np.einsum("ni,ij,nj->n", origins, matrix, origins)
            + 2 * origins @ vector
            + quadrics.constant[index]
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            found = -(b + np.sqrt(b * b - a * c)) / a
            own = (origins + found[:, None] * directions) @ axis[:3] + axis[3]
            there = (found > 0) & (own >= quadrics.low[index]) & (own <= quadrics.high[index])
        nearest = np.minimum(nearest, np.where(there, found, NO_HIT))
    return nearest


def view_boxes(parts: list[Part]) -> Array:
    """Return the area that the spheres at a part's two ends cover: (P, 2, 4) least and greatest x / z, then y / z.

    The outline of an ellipsoid with dual quadric AA' - cc' touches the line x = s z where (1, 0, -s) is on it. A sphere
    that reaches behind the camera covers everything, one that is entirely behind it covers nothing.
    """
    frames = np.stack([part.frame for part in parts])
    length = np.array([part.length for part in parts])
    radii = np.array([part.radii for part in parts])
    ends, behind = [], []
    for end in (0, 1):
        centre = frames[:, :3, 3] + frames[:, :3, 1] * (length * end)[:, None]
        spread = frames[:, :3, :3] * radii[:, end, None, None]
        dual = spread @ np.swapaxes(spread, 1, 2) - centre[:, :, None] * centre[:, None]
        before = (dual[:, 2, 2] < 0) & (centre[:, 2] > 0)
        sides = []
        for row in (0, 1):
            middle = dual[:, row, 2] / dual[:, 2, 2]
            half = np.sqrt(np.maximum(middle**2 - dual[:, row, row] / dual[:, 2, 2], 0))
            sides += [np.where(before, middle - half, -np.inf), np.where(before, middle + half, np.inf)]
        ends.append(np.stack(sides, axis=1))
        behind.append((dual[:, 2, 2] < 0) & (centre[:, 2] < 0))
    boxes = np.stack(ends, axis=1)
    boxes[np.all(behind, axis=0)] = (
        np.inf,
        -np.inf,
        np.inf,
        -np.inf,
    )  # otherwise every pixel would be tested
    return boxes


def hull(boxes: Array) -> Array:
    """Return the boxes (P, 4) around pairs of boxes (P, 2, 4)."""
    least, most = boxes.min(1), boxes.max(1)
    return np.stack([least[:, 0], most[:, 1], least[:, 2], most[:, 3]], axis=1)
