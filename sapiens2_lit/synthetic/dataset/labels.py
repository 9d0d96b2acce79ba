"""Keypoints with visibility, boxes and areas of the people of an image."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array, Person
from sapiens2_lit.synthetic.dataset.frame import PersonLabels
from sapiens2_lit.synthetic.render.camera import Camera
from sapiens2_lit.synthetic.render.raycast import cast_points
from sapiens2_lit.synthetic.render.shapes import Indices, Quadrics
from sapiens2_lit.vocabularies import load_skeleton
from sapiens2_lit.vocabularies.skeleton_loader import SHIPPED

VISIBLE, OCCLUDED = 2.0, 1.0
NEAREST = 0.05  # meters in front of the camera; nearer points, and points behind it, are not in the image


@dataclass(frozen=True)
class Sights:
    """What the camera sees on the rays to all landmarks of all people, in order; N rays, M of which may show theirs.

    Attributes:
        pixels: (N, 2) x and y.
        inside: (N,) whether the landmark is in the image.
        hit: (M,) landmarks whose ray meets a surface that is not too far in front of them.
        part: (M,) the parts that the rays meet.
        points: (M, 3) the places where they meet, in the camera's frame.
    """

    pixels: Array
    inside: npt.NDArray[np.bool_]
    hit: Indices
    part: Indices
    points: Array


def sight(people: list[Person], quadrics: Quadrics, camera: Camera) -> Sights:
    """Cast a ray to every landmark of all people.

    Args:
        people: in the camera's frame.
        quadrics: of all their parts.
        camera: the camera.
    """
    landmarks = [landmark for person in people for landmark in person.landmarks.values()]
    positions = np.stack([landmark.position for landmark in landmarks])
    before = positions[:, 2] > NEAREST
    placed = np.where(before[:, None], positions, (0.0, 0.0, 1.0))
    pixels = camera.pixels(placed)
    limit = np.array([camera.size[1], camera.size[0]]) - 0.5
    inside = before & (pixels >= -0.5).all(1) & (pixels < limit).all(1)
    depth, quadric = cast_points(quadrics, placed)
    allowed = np.array([landmark.depth for landmark in landmarks])
    length = np.linalg.norm(placed, axis=1) / placed[:, 2]  # ray length for each meter of depth
    before_it = np.where(np.isfinite(depth), placed[:, 2] - depth, np.inf) * length
    part = quadrics.part[quadric]
    own = np.repeat(np.arange(len(people)), [len(person.landmarks) for person in people])
    owner = np.repeat(np.arange(len(people)), [len(person.parts) for person in people])
    # Beside its limb's outline, a point may have anything behind it, even another person of the right class.
    hit = np.flatnonzero(inside & (np.abs(before_it) <= allowed) & (owner[part] == own))
    points = placed[hit] * (depth[hit] / placed[hit, 2])[:, None]
    return Sights(pixels, inside, hit, part[hit], points)


def label_people(
    people: list[Person],
    sights: Sights,
    classes: npt.NDArray[np.uint8],
    instance: npt.NDArray[np.uint8],
) -> list[PersonLabels]:
    """Return the labels of the people that have a pixel in the image.

    A landmark is visible if the nearest surface on its ray has one of its classes, and is not farther in front of it
    than its depth.

    Args:
        people: in the camera's frame.
        sights: from `sight`.
        classes: (M,) of the surfaces in `sights`.
        instance: (H, W) number of each pixel's person, from 1.
    """
    landmarks = [landmark for person in people for landmark in person.landmarks.values()]
    shown = [
        label in landmarks[place].labels for place, label in zip(sights.hit, classes.tolist(), strict=True)
    ]
    found = np.column_stack([sights.pixels, np.full(len(landmarks), OCCLUDED)]) * sights.inside[:, None]
    found[sights.hit[shown], 2] = VISIBLE
    labels, start = [], 0
    for number, person in enumerate(people, start=1):
        points = dict(zip(person.landmarks, found[start:], strict=False))
        start += len(points)
        row, column = np.nonzero(instance == number)
        if not len(row):
            continue
        least, most = np.array([column.min(), row.min()]), np.array([column.max(), row.max()])
        box = np.concatenate([least - 0.5, most - least + 1.0])
        keypoints = {
            name: np.array([points[key] for key in load_skeleton(name).keypoints]) for name in SHIPPED
        }
        labels.append(PersonLabels(keypoints, box, len(row), number))
    return labels
