"""What each pixel sees: rays through the pixels' centers, finer rays at edges, and single rays to points."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array
from sapiens2_lit.synthetic.render.camera import Camera
from sapiens2_lit.synthetic.render.shapes import NO_HIT, Indices, Quadrics

PAIRS_AT_ONCE = 100_000  # rays times quadrics, a limit for memory
SIDE = 3  # rays per pixel at edges are SIDE x SIDE, odd so that the center is one of them


def cast_image(quadrics: Quadrics, camera: Camera) -> tuple[Array, Indices]:
    """Return the nearest surface at each pixel's center: depth (H, W), infinite for none, and quadric (H, W), or -1."""
    height, width = camera.size
    depth = np.full(height * width, NO_HIT)
    nearest = np.full(height * width, -1, dtype=np.int64)
    for chosen, count, pixel in _covered_pixels(quadrics, camera):
        which = np.repeat(chosen, count)
        found = quadrics.depths(which, camera.columns[pixel % width], camera.rows[pixel // width])
        ends = np.cumsum(count)
        for quadric, start, end in zip(chosen.tolist(), ends - count, ends, strict=True):
            here, new = pixel[start:end], found[start:end]
            nearer = new < depth[here]
            here = here[nearer]
            depth[here] = new[nearer]
            nearest[here] = quadric
    return depth.reshape(height, width), nearest.reshape(height, width)


def _covered_pixels(quadrics: Quadrics, camera: Camera) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield groups of quadrics: their indices, how many pixels each may cover, and these pixels, one after another."""
    height, width = camera.size
    scale, centre = camera.intrinsics[(0, 1), (0, 1)], camera.intrinsics[:2, 2]
    sides = quadrics.box.reshape(-1, 2, 2) * scale[:, None] + centre[:, None]
    limits = np.array([[width], [height]])
    first = np.ceil(np.clip(sides[:, :, :1], 0, limits))[..., 0].astype(np.int64)
    last = np.floor(np.clip(sides[:, :, 1:], -1, limits - 1))[..., 0].astype(np.int64)
    extent = np.maximum(last - first + 1, 0)
    count = extent.prod(1)
    seen = np.flatnonzero(count)
    batch = np.cumsum(count[seen]) // PAIRS_AT_ONCE
    for number in np.unique(batch):
        chosen = seen[batch == number]
        sizes = count[chosen]
        place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        row, column = np.divmod(place, np.repeat(extent[chosen, 0], sizes))
        row += np.repeat(first[chosen, 1], sizes)
        column += np.repeat(first[chosen, 0], sizes)
        yield chosen, sizes, row * width + column


@dataclass(frozen=True)
class EdgeRays:
    """SIDE x SIDE rays in each of E pixels at edges.

    Attributes:
        pixel: (E,) flat index of the pixels.
        x, y: (E, SIDE²) rays (x, y, 1); the middle one goes through the pixel's center.
        depth: (E, SIDE²), infinite where a ray meets nothing.
        quadric: (E, SIDE²), -1 there.
    """

    pixel: Indices
    x: Array
    y: Array
    depth: Array
    quadric: Indices


def cast_edges(
    quadrics: Quadrics, camera: Camera, nearest: Indices, edges: npt.NDArray[np.bool_]
) -> EdgeRays:
    """Cast finer rays in pixels at edges, against the parts that the centers of their 3 x 3 pixels see.

    Args:
        quadrics: of all parts.
        camera: the camera.
        nearest: (H, W) quadric at each pixel's center, or -1.
        edges: (H, W) the pixels.
    """
    width = camera.size[1]
    pixel = np.flatnonzero(edges)
    row, column = np.divmod(pixel, width)
    offset = (np.arange(SIDE) - SIDE // 2) / SIDE
    x = camera.columns[column][:, None] + np.tile(offset, SIDE) / camera.intrinsics[0, 0]
    y = camera.rows[row][:, None] + np.repeat(offset, SIDE) / camera.intrinsics[1, 1]

    parts = np.where(nearest >= 0, quadrics.part[nearest], -1)
    around = np.pad(parts, 1, constant_values=-1)
    neighbours = np.stack([around[row + i, column + j] for i in range(3) for j in range(3)], axis=1)
    code = np.arange(len(pixel))[:, None] * (quadrics.part.max() + 2) + neighbours + 1
    place, part = np.divmod(np.unique(code), quadrics.part.max() + 2)
    place, part = place[part > 0], part[part > 0] - 1
    order = np.argsort(quadrics.part, kind="stable")
    starts = np.searchsorted(quadrics.part[order], part)
    count = np.searchsorted(quadrics.part[order], part, side="right") - starts
    ray = np.repeat(place, count)
    steps = np.arange(len(ray)) - np.repeat(np.cumsum(count) - count, count)
    which = order[np.repeat(starts, count) + steps]

    found = quadrics.depths(which, x[ray], y[ray])
    depth = np.full(x.shape, NO_HIT)
    quadric = np.full(x.shape, -1, dtype=np.int64)
    firsts = np.flatnonzero(np.diff(ray, prepend=-1))
    if len(firsts):
        depth[ray[firsts]] = np.minimum.reduceat(found, firsts)
    pair, sub = np.nonzero(np.isfinite(found) & (found == depth[ray]))
    quadric[ray[pair], sub] = which[pair]
    return EdgeRays(pixel, x, y, depth, quadric)


def cast_points(quadrics: Quadrics, points: Array) -> tuple[Array, Indices]:
    """Return the nearest surface on rays to points (N, 3): depth (N,), infinite for none, and quadric (N,), or -1."""
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    box = quadrics.box
    inside = (box[:, 0] <= x[:, None]) & (x[:, None] <= box[:, 1])
    inside &= (box[:, 2] <= y[:, None]) & (y[:, None] <= box[:, 3])
    place, which = np.nonzero(inside)
    found = quadrics.depths(which, x[place], y[place])
    depth = np.full(len(points), NO_HIT)
    quadric = np.full(len(points), -1, dtype=np.int64)
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    if len(firsts):
        depth[place[firsts]] = np.minimum.reduceat(found, firsts)
    pair = np.flatnonzero(np.isfinite(found) & (found == depth[place]))
    quadric[place[pair]] = which[pair]
    return depth, quadric
