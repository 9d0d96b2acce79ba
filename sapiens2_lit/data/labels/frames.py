"""Coordinate frames of vectors and points on disk, by name, and the transformation of each to the camera's frame.

The camera's frame is OpenCV's: x right, y down, z forward. World frames need the camera's extrinsics for each image.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import DataError

Frame = Literal[
    "opencv", "opengl", "directx", "directx_normals", "pytorch3d", "blender", "unreal", "colmap", "nerf"
]
Matrix = npt.NDArray[np.float64]
TO_WORLD, TO_CAMERA = "camera_to_world", "world_to_camera"
_NO_ROTATION = 1e-3  # largest difference of a rotation times its transpose from the identity


@dataclass(frozen=True)
class FrameAxes:
    """A frame, given by its axes.

    Attributes:
        camera: rows: OpenCV's x, y and z by the axes of the frame's camera.
        world: whether vectors and points are in the world's frame, not the camera's.
        extrinsics: meaning of the matrix `extrinsics` if the file does not say it: camera_to_world or world_to_camera.
        unit: meters of one unit.
        words: the axes, for messages.
    """

    camera: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
    world: bool = False
    extrinsics: str = ""
    unit: float = 1.0
    words: str = ""


def _signs(x: int, y: int, z: int) -> tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]:
    return (x, 0, 0), (0, y, 0), (0, 0, z)


_OPENGL = _signs(1, -1, -1)
FRAMES: dict[str, FrameAxes] = {
    "opencv": FrameAxes(_signs(1, 1, 1), words="x right, y down, z forward"),
    "opengl": FrameAxes(_OPENGL, words="x right, y up, z toward the viewer"),
    "directx": FrameAxes(_signs(1, -1, 1), words="x right, y up, z forward"),
    "directx_normals": FrameAxes(_signs(1, 1, -1), words="x right, y down, z toward the viewer"),
    "pytorch3d": FrameAxes(_signs(-1, -1, 1), words="x left, y up, z forward"),
    "blender": FrameAxes(_OPENGL, True, TO_WORLD, words="the world of Blender, right-handed, z up"),
    "unreal": FrameAxes(
        ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
        True,
        TO_WORLD,
        unit=0.01,
        words="the world of Unreal, left-handed, z up, centimeters; its cameras look along x, y is right",
    ),
    "colmap": FrameAxes(_signs(1, 1, 1), True, TO_CAMERA, words="the world of COLMAP"),
    "nerf": FrameAxes(_OPENGL, True, TO_WORLD, words="the world of transforms.json"),
}


@dataclass(frozen=True)
class Pose:
    """The way from a frame to the camera's: rotation (3, 3), which may mirror, then shift (3,) in frame units."""

    rotation: Matrix
    shift: Matrix

    def vectors(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Transform directions (..., 3)."""
        return values.astype(np.float32) @ self.rotation.T.astype(np.float32)

    def points(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Transform points (..., 3)."""
        return (values.astype(np.float64) @ self.rotation.T + self.shift).astype(np.float32)


def is_world(frame: str) -> bool:
    """Whether a frame is a world frame, which needs the camera's extrinsics."""
    return FRAMES[frame].world


def camera_pose(frame: str) -> Pose:
    """Return the transformation from a camera frame to OpenCV's."""
    return Pose(np.array(FRAMES[frame].camera, dtype=np.float64), np.zeros(3))


def world_pose(frame: str, matrix: Any, path: Path, kind: str) -> Pose:
    """Return the transformation from a world frame to OpenCV's frame of one camera.

    Args:
        frame: the world frame.
        matrix: 3 x 4 or 4 x 4.
        path: the file, for messages.
        kind: key of the matrix: `extrinsics`, `camera_to_world` or `world_to_camera`.

    Raises:
        DataError: it is no such matrix, or its left part is no rotation.
    """
    try:
        found = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape not in ((3, 4), (4, 4)) or not np.isfinite(found).all():
        raise DataError(
            f"{path}: `{kind}` is no matrix of 3 x 4 or 4 x 4 finite numbers, expected [R | t] row by row."
        )
    if found.shape == (4, 4) and np.abs(found[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise DataError(
            f"{path}: the last row of `{kind}` is {found[3].tolist()}, expected [0, 0, 0, 1]: it may be transposed."
        )
    rotation, shift = found[:3, :3], found[:3, 3]
    _check_rotation(rotation, path, kind)
    if (kind if kind != "extrinsics" else FRAMES[frame].extrinsics) == TO_WORLD:
        rotation, shift = rotation.T, -rotation.T @ shift
    camera = camera_pose(frame).rotation
    return Pose(camera @ rotation, camera @ shift)


def _check_rotation(rotation: Matrix, path: Path, kind: str) -> None:
    off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    lengths = np.linalg.norm(rotation, axis=0)
    if off > _NO_ROTATION:
        scaled = (
            np.abs(rotation.T @ rotation - np.diag(lengths**2)).max() <= _NO_ROTATION * lengths.max() ** 2
        )
        why = (
            f"its columns have the lengths {', '.join(f'{one:.4g}' for one in lengths)}: the camera, or its parent, "
            "is scaled; divide each column by its length"
            if scaled
            else f"its rows are not perpendicular and of length 1 (off by {off:.2g})"
        )
        raise DataError(f"{path}: the left 3 x 3 of `{kind}` is no rotation: {why}.")
    if np.linalg.det(rotation) < 0:
        raise DataError(
            f"{path}: the left 3 x 3 of `{kind}` mirrors (its determinant is -1), expected a rotation: an axis was "
            "negated, or left-handed and right-handed axes are mixed."
        )
