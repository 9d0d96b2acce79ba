"""A perspective camera, and its placement before people."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; pixel centers are integers.

    Attributes:
        size: (height, width) in pixels.
        intrinsics: (3, 3).
        pose: (4, 4), from the world (x right, y up, z toward the viewer) to the camera (x right, y down, z forward).
    """

    size: tuple[int, int]
    intrinsics: Array
    pose: Array

    @cached_property
    def columns(self) -> Array:
        """X / z of the pixel columns' centers, (W,)."""
        return (np.arange(self.size[1]) - self.intrinsics[0, 2]) / self.intrinsics[0, 0]

    @cached_property
    def rows(self) -> Array:
        """Y / z of the pixel rows' centers, (H,)."""
        return (np.arange(self.size[0]) - self.intrinsics[1, 2]) / self.intrinsics[1, 1]

    def pixels(self, points: Array) -> Array:
        """Return x and y (N, 2) in pixels of points (N, 3) in the camera's frame."""
        return (points @ self.intrinsics.T)[:, :2] / points[:, 2:]


def look_at(eye: Array, target: Array, roll: float) -> Array:
    """Return the pose (4, 4) of a camera that looks at a point.

    Args:
        eye: (3,) place of the camera.
        target: (3,) point that it looks at.
        roll: radians of its rotation about the line of sight.
    """
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll), np.sin(roll)
    turn = np.stack([cos * right + sin * down, cos * down - sin * right, forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, -turn @ eye
    return pose


def frame_points(
    points: Array,
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    field_of_view: float,
    fill: float,
    elevation: float,
    roll: float,
) -> Camera:
    """Return a camera straight in front (toward -z) at the distance from which `points` fill a share of the image.

    Args:
        points: (N, 3) in the world, to be in the picture.
        size: (height, width) of the image.
        rng: moves the picture's center slightly if there is room.
        field_of_view: vertical, in radians.
        fill: share of the image's height or width that the points fill.
        elevation: radians by which the camera looks down.
        roll: radians.
    """
    height, width = size
    focal = height / (2 * np.tan(field_of_view / 2))
    target = (points.min(0) + points.max(0)) / 2
    towards = np.array([0.0, np.sin(elevation), np.cos(elevation)])
    distance = 3.0
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    for _ in range(6):  # the extent is nearly proportional to 1 / distance
        pose = look_at(target + distance * towards, target, roll)
        seen = points @ pose[:3, :3].T + pose[:3, 3]
        seen = seen[:, :2] / np.maximum(seen[:, 2:], 0.1) * focal
        least, most = seen.min(0), seen.max(0)
        share = ((most - least) / (width, height)).max() / fill
        distance = float(np.clip(distance * share, np.ptp(points[:, 2]) / 2 + 0.35, 60.0))
    room = np.maximum(np.array([width, height]) - (most - least), 0.0)
    intrinsics[:2, 2] += rng.uniform(-0.5, 0.5, 2) * room * 0.7 - (least + most) / 2
    return Camera(size, intrinsics, pose)
