"""Keypoints with visibility, boxes and areas of the people of an image."""

import numpy as np
import numpy.typing as npt

from sapiens2_lit.skeletons import SHIPPED, load_skeleton
from sapiens2_lit.synthetic.camera import Camera
from sapiens2_lit.synthetic.frame import PersonLabels
from sapiens2_lit.synthetic.parts import Array, Landmark, Part, Person, paint_points
from sapiens2_lit.synthetic.raycast import cast_points
from sapiens2_lit.synthetic.shapes import Quadrics

VISIBLE, OCCLUDED = 2.0, 1.0
NEAREST = 0.05  # metres in front of the camera; what is nearer, or behind, is not in the image


def label_people(
    people: list[Person],
    parts: list[Part],
    quadrics: Quadrics,
    camera: Camera,
    instance: npt.NDArray[np.uint8],
) -> list[PersonLabels]:
    """Labels of those of `people`, in the camera's frame, that have a pixel in `instance` (H, W)."""
    labels = []
    for number, person in enumerate(people, start=1):
        row, column = np.nonzero(instance == number)
        if not len(row):
            continue
        least, most = np.array([column.min(), row.min()]), np.array([column.max(), row.max()])
        box = np.concatenate([least - 0.5, most - least + 1.0])
        points = locate(person.landmarks, parts, quadrics, camera)
        keypoints = {
            name: np.array([points[key] for key in load_skeleton(name).keypoints]) for name in SHIPPED
        }
        labels.append(PersonLabels(keypoints, box, len(row), number))
    return labels


def locate(
    landmarks: dict[str, Landmark], parts: list[Part], quadrics: Quadrics, camera: Camera
) -> dict[str, Array]:
    """x, y in pixels and v (3,) of each landmark; all 0 for those outside the image.

    A landmark is visible if the nearest surface on the way to it is of one of its classes, and not further in
    front of it than its depth.
    """
    positions = np.stack([landmark.position for landmark in landmarks.values()])
    before = positions[:, 2] > NEAREST
    placed = np.where(before[:, None], positions, (0.0, 0.0, 1.0))
    pixels = camera.pixels(placed)
    limit = np.array([camera.size[1], camera.size[0]]) - 0.5
    inside = before & (pixels >= -0.5).all(1) & (pixels < limit).all(1)
    depth, quadric = cast_points(quadrics, placed)
    allowed = np.array([landmark.depth for landmark in landmarks.values()])
    length = np.linalg.norm(placed, axis=1) / placed[:, 2]  # of a ray for each metre of depth
    hit = np.flatnonzero(inside & np.isfinite(depth) & ((placed[:, 2] - depth) * length <= allowed))
    seen = paint_points(parts, quadrics.part[quadric[hit]], placed[hit] * (depth / placed[:, 2])[hit, None])[
        1
    ]
    names = list(landmarks)
    shown = [
        label in landmarks[names[place]].labels
        for place, label in zip(hit.tolist(), seen.tolist(), strict=True)
    ]
    found = np.column_stack([pixels, np.full(len(names), OCCLUDED)]) * inside[:, None]
    found[hit[shown], 2] = VISIBLE
    return dict(zip(names, found, strict=True))
