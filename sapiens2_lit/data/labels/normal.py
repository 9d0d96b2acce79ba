"""Surface normals from disk."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.data.checks.normals import say_away, say_flat
from sapiens2_lit.data.labels.camera import CameraSource
from sapiens2_lit.data.labels.field import (
    Field,
    FieldFolder,
    ValidFolder,
    any_nonzero,
    from_integers,
    split_finite,
)
from sapiens2_lit.data.labels.frames import Frame
from sapiens2_lit.data.labels.world import check_frame, pose_of
from sapiens2_lit.data.readers.arrays import Array
from sapiens2_lit.errors import DataError
from sapiens2_lit.geometry import rotate_vectors

OTHER_FRAME: dict[str, Frame] = {"opencv": "opengl", "opengl": "opencv"}

# A zero vector in 8 bits is 127.5 rounded: 0.007 long. Shorter than this there is no normal.
_SHORTEST = 0.05
_TOLERANCE = (
    0.1  # of the length; 8 bits err by 0.007, edges that were interpolated by more: they do not count
)
_MOST_OFF = 0.1  # share of the normals of an image that may do so


class NormalFolder(FieldFolder):
    """Unit normals x, y, z: floats in npy, npz or exr, or (n + 1) / 2 in png of 8 or 16 bits; zero, or black, for none.

    Args:
        folder: where they are.
        frame: of the files, one of `FRAMES`.
        valids: where they count, besides being unit vectors.
        setting: what led here, for messages.
        cameras: with the extrinsics that frames of a world need.
    """

    key = "normal"
    suffixes = (".npy", ".npz", ".png", ".exr")
    channels = 3
    no_value = "NaN, infinite or not of length 1"

    def __init__(
        self,
        folder: Path,
        frame: Frame = "opencv",
        valids: ValidFolder | None = None,
        setting: str = "data.normals",
        cameras: CameraSource | None = None,
    ) -> None:
        super().__init__(folder, setting, valids)
        self.frame = frame
        self.cameras = cameras
        check_frame(frame, cameras)

    def interpret(self, image: Path, stem: str, size: tuple[int, int], values: Array) -> Field:
        """The normals (h, w, 3) in the camera's frame."""
        if self.frame not in OTHER_FRAME:  # these two need no more than signs, see `decode`
            pose = pose_of(self.frame, self.cameras, image, stem)
            values = pose.vectors(as_vectors(self.path(stem), values))
        return super().interpret(image, stem, size, values)

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Unit vectors (h, w, 3) in the camera's frame."""
        normals = from_integers(path, values)
        if values.dtype.kind in "iu":
            valid = valid & any_nonzero(values)
            normals = 2 * normals - 1
        valid, infinite = split_finite(normals, valid)
        normals = to_opencv(normals, self.frame)
        length = np.sqrt(
            np.einsum("hwc,hwc->hw", normals, normals), where=valid, out=np.zeros(valid.shape, np.float32)
        )
        labelled = valid & (length > _SHORTEST)
        unit = labelled & (np.abs(length - 1) <= _TOLERANCE)
        off = int((labelled & ~unit).sum())
        if off > _MOST_OFF * labelled.sum():
            raise DataError(
                f"{path}: {off / labelled.sum():.0%} of the normals are not unit vectors (median "
                f"length {np.median(length[labelled]):.2f}); expected length 1, or 0 where there is none; floats "
                "hold n itself, -1..1, and png (n + 1) / 2 of its largest value."
                + (f" {flat}" if (flat := say_flat(normals, labelled)) else "")
            )
        away = np.mean(normals[..., 2][unit] > 0) if unit.any() else 0.0
        if away > 0.5:
            raise DataError(
                f"{path}: {away:.0%} of the normals face away from the camera, expected less than half: "
                f"{say_away(normals, unit, self.frame)}"
            )
        return Field(normals, unit, infinite + off)

    def settle(self, values: Tensor, turn: Tensor, intrinsics: Tensor) -> Tensor:
        """Turned, and of length 1 again; NaN where opposite normals met."""
        turned = rotate_vectors(values[None], turn[None])[0]
        length = turned.square().sum(dim=0, keepdim=True).sqrt()
        return turned / torch.where(length > 0, length, torch.nan)


def to_opencv(vectors: npt.NDArray[np.float32], frame: Frame) -> npt.NDArray[np.float32]:
    """Vectors (..., 3) of `opengl` in OpenCV's frame: y and z change their signs; others are there already."""
    return vectors * np.array([1, -1, -1], dtype=np.float32) if frame == "opengl" else vectors


def as_vectors(path: Path, values: Array) -> npt.NDArray[np.float32]:
    """Normals (..., 3) as floats, -1..1; 0 where integers are black."""
    if values.dtype.kind not in "iu":
        return values.astype(np.float32)
    if values.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: the values are {values.dtype}, expected floats, uint8 or uint16.")
    vectors = values.astype(np.float32) * np.float32(2 / np.iinfo(values.dtype).max) - 1
    return np.where(any_nonzero(values)[..., None], vectors, np.float32(0))
