"""Render a scene to an image and its labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array, Person, paint_points
from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.labels import label_people, sight
from sapiens2_lit.synthetic.render.camera import Camera
from sapiens2_lit.synthetic.render.light import Light, to_linear, to_srgb
from sapiens2_lit.synthetic.render.raycast import SIDE, EdgeRays, cast_edges, cast_image
from sapiens2_lit.synthetic.render.shapes import Indices, Quadrics

CREASE = 0.03  # neighbors whose depths differ by more than this share are at an edge


@dataclass(frozen=True)
class Scene:
    """People in front of a camera.

    Attributes:
        people: in the world's frame: x right, y up, z toward the viewer, in meters.
        camera: the camera, with the size of the image.
        light: in the world's frame.
        background: (H, W, 3) float64 sRGB in 0..1, visible where nobody stands.
    """

    people: list[Person]
    camera: Camera
    light: Light
    background: Array


def render(scene: Scene) -> Frame:
    """Return the image and all labels."""
    camera, size = scene.camera, scene.camera.size
    people = [person.moved(camera.pose) for person in scene.people]
    parts = [part for person in people for part in person.parts]
    owner = np.repeat(np.arange(len(people)), [len(person.parts) for person in people])
    quadrics = Quadrics.of(parts)
    depth, nearest = cast_image(quadrics, camera)
    valid = nearest >= 0
    edges = cast_edges(quadrics, camera, nearest, find_edges(depth, nearest, quadrics.part))

    # All visible surface points: pixel centers, then the finer rays that meet something.
    row, column = np.nonzero(valid)
    fine = edges.quadric >= 0
    fine[:, SIDE * SIDE // 2] = False  # the center is there already
    which = np.concatenate([nearest[valid], edges.quadric[fine]])
    z = np.concatenate([depth[valid], edges.depth[fine]])
    x = np.concatenate([camera.columns[column], edges.x[fine]])
    y = np.concatenate([camera.rows[row], edges.y[fine]])
    points = np.stack([x * z, y * z, z], axis=1)
    normals = quadrics.normals(which, points)
    sights = sight(people, quadrics, camera)
    part = np.concatenate([quadrics.part[which], sights.part])
    albedo, labels = paint_points(parts, part, np.concatenate([points, sights.points]))
    albedo = albedo[: len(points)]
    shading = scene.light.shading(normals @ camera.pose[:3, :3])
    colors = to_srgb(to_linear(albedo) * shading)

    count = len(row)
    seen = np.zeros((*size, 3))
    seen[valid] = colors[:count]
    alpha, foreground = blend_edges(valid, seen, edges, fine, colors[count:])
    image = foreground + (1 - alpha[..., None]) * scene.background
    segmentation = fill(valid, labels[:count], np.uint8)
    instance = fill(valid, owner[quadrics.part[nearest[valid]]] + 1, np.uint8)
    return Frame(
        image=np.rint(image * 255).astype(np.uint8),
        segmentation=segmentation,
        instance=instance,
        normal=fill(valid, normals[:count], np.float32),
        pointmap=fill(valid, points[:count], np.float32),
        depth=fill(valid, z[:count], np.float32),
        albedo=fill(valid, albedo[:count], np.float32),
        alpha=alpha.astype(np.float32),
        foreground=foreground.astype(np.float32),
        valid=valid,
        intrinsics=camera.intrinsics,
        people=label_people(people, sights, labels[len(points) :], instance),
    )


def find_edges(depth: Array, nearest: Indices, part: Indices) -> npt.NDArray[np.bool_]:
    """Find pixels (H, W) at or next to a silhouette or a step in depth from one part to another.

    Args:
        depth: (H, W), infinite for none.
        nearest: (H, W) quadric, or -1.
        part: (Q,) part of each quadric.
    """
    parts = np.where(nearest >= 0, part[nearest], -1)
    edges = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        ahead: tuple[slice, ...] = (slice(1, None),) if axis == 0 else (slice(None), slice(1, None))
        behind: tuple[slice, ...] = (slice(None, -1),) if axis == 0 else (slice(None), slice(None, -1))
        near, far = np.minimum(depth[ahead], depth[behind]), np.maximum(depth[ahead], depth[behind])
        with np.errstate(invalid="ignore"):
            step = (parts[ahead] != parts[behind]) & (far - near > CREASE * near)
        edges[ahead] |= step
        edges[behind] |= step
    return edges


def blend_edges(
    valid: npt.NDArray[np.bool_],
    seen: Array,
    edges: EdgeRays,
    fine: npt.NDArray[np.bool_],
    colors: Array,
) -> tuple[Array, Array]:
    """Return the share of each pixel that people cover (H, W), and their premultiplied color (H, W, 3).

    At edges both are means over the finer rays. The share is limited to 5/9 or more if the center is covered, and to
    4/9 or less if it is not, so that all labels have one silhouette, alpha >= 0.5.

    Args:
        valid: (H, W) whether a person is visible at the pixel's center.
        seen: (H, W, 3) color at the center.
        edges: the finer rays.
        fine: (E, SIDE²) rays that meet a surface, without the middle ones.
        colors: (N, 3) of these rays.
    """
    alpha, foreground = valid.astype(np.float64), seen.copy()
    row, column = np.divmod(edges.pixel, valid.shape[1])
    centre = valid[row, column]
    total = np.zeros((*fine.shape, 3))
    total[fine] = colors
    total = total.sum(1) + np.where(centre[:, None], seen[row, column], 0)
    hits = fine.sum(1) + centre
    rays = SIDE * SIDE
    share = np.where(centre, np.maximum(hits, rays // 2 + 1), np.minimum(hits, rays // 2)) / rays
    alpha[row, column] = share
    foreground[row, column] = total / np.maximum(hits, 1)[:, None] * share[:, None]
    return alpha, foreground


def fill(valid: npt.NDArray[np.bool_], values: npt.NDArray, dtype: npt.DTypeLike) -> npt.NDArray:
    """Return an image (H, W, ...) of values at valid pixels, 0 elsewhere.

    Args:
        valid: (H, W) with N true pixels.
        values: (N, ...).
        dtype: of the image.
    """
    image = np.zeros((*valid.shape, *values.shape[1:]), dtype=dtype)
    image[valid] = values
    return image
