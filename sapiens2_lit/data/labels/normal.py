"""Surface normals from disk."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.normals import say_away, say_flat
from sapiens2_lit.data.labels.camera import CameraSource
from sapiens2_lit.data.labels.field import (
    FieldFolder,
    Turn,
    ValidFolder,
    any_nonzero,
    encoding_of,
    split_finite,
)
from sapiens2_lit.data.labels.frames import Frame
from sapiens2_lit.data.labels.stored_field import Field, Sampled
from sapiens2_lit.data.labels.world import check_frame, pose_of
from sapiens2_lit.data.readers.arrays import Array
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.fields import box_of

OPENGL_SIGNS = (1, -1, -1)  # for x, y and z, seen from OpenCV's frame
OTHER_FRAME: dict[str, Frame] = {"opencv": "opengl", "opengl": "opencv"}

# A zero vector in 8 bits is 127.5 rounded: its length is 0.007. Vectors shorter than this are no normals.
_SHORTEST = 0.05
_TOLERANCE = 0.1  # of the length; 8 bits err by 0.007, interpolated edges by more: these are ignored
_MOST_OFF = 0.1  # largest share of an image's normals with another length


class NormalFolder(FieldFolder):
    """Unit normals x, y, z: floats in npy, npz or exr, or (n + 1) / 2 in png of 8 or 16 bits; zero, or black, for none.

    Args:
        folder: of the files.
        frame: of the files, one of `FRAMES`.
        valids: where labels are valid, if they are unit vectors.
        setting: setting of the folder, for messages.
        cameras: with the extrinsics that world frames need.
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
        """Return the normals (h, w, 3) in the camera's frame."""
        if self.frame not in OTHER_FRAME:  # these two need only signs, see `decode`
            pose = pose_of(self.frame, self.cameras, image, stem)
            values = pose.vectors(as_vectors(self.path(stem), values))
        return super().interpret(image, stem, size, values)

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Return unit vectors (h, w, 3) in the camera's frame."""
        encoding = encoding_of(path, values)
        if encoding is None:
            normals = to_opencv(values.astype(np.float32), self.frame)
            valid, infinite = split_finite(normals, valid)
            field = Field(normals, valid, infinite)
        else:
            signs = OPENGL_SIGNS if self.frame == "opengl" else ()
            encoding = replace(encoding, signed=True, signs=signs)
            field = Field(values, valid & _hold_vectors(values), 0, encoding)
        unit, off, labelled, away = _find_units(field)
        if off > _MOST_OFF * labelled:
            self._fail_on_length(path, field, off / labelled)
        if 2 * away > labelled - off:
            raise DataError(
                f"{path}: {away / (labelled - off):.0%} of the normals face away from the camera, expected less than "
                f"half: {say_away(field.values, unit, self.frame)}"
            )
        return Field(field.stored, unit, field.invalid + off, field.encoding)

    def _fail_on_length(self, path: Path, field: Field, share: float) -> None:
        length = _lengths(field.values)
        labelled = field.valid & (length > _SHORTEST)
        raise DataError(
            f"{path}: {share:.0%} of the normals are not unit vectors (median "
            f"length {np.median(length[labelled]):.2f}); expected length 1, or 0 where there is none; floats "
            "hold n itself, -1..1, and png (n + 1) / 2 of its largest value."
            + (f" {flat}" if (flat := say_flat(field.values, labelled)) else "")
        )

    def settle(self, sampled: Sampled, turn: Turn, intrinsics: Turn) -> npt.NDArray[np.float32]:
        """Return the normals turned, and of length 1 again; invalid where opposite normals were averaged."""
        x, y, z = sampled.sums  # a common divisor does not matter
        length = x * x  # not cv2.magnitude: its last bits depend on the arrays' addresses
        for plane in (y, z):
            length += plane * plane
        np.sqrt(length, out=length)
        np.logical_and(sampled.counts, length > 0, out=sampled.counts)
        turn_planes(sampled.sums, turn)
        return sampled.over(length, 0.0)


def turn_planes(vectors: npt.NDArray[np.float32], turn: npt.NDArray[np.float32]) -> None:
    """Multiply each vector of a map (3, H, W) by Q, in place; Q (3, 3) is a rotation about the line of sight."""
    (xx, xy, _), (yx, yy, _), _ = turn
    x, y, _ = vectors
    if xy == yx == 0:
        for plane, sign in ((x, xx), (y, yy)):
            if sign != 1:
                np.multiply(plane, sign, out=plane)
    else:
        turned = xx * x + xy * y
        np.add(yx * x, yy * y, out=y)
        x[...] = turned


def _hold_vectors(values: Array) -> npt.NDArray[np.bool_]:
    """Return where integers (h, w, 3) are neither black nor the zero vector, which lies between the middle two."""
    middle = int(np.iinfo(values.dtype).max) // 2
    kinds = [((0,) * 3, (0,) * 3), ((middle,) * 3, (middle + 1,) * 3)]
    if values.size and values[0, 0].any():  # the background's kind first: what is left is a small part
        kinds.reverse()
    held = np.asarray(cv2.inRange(values, *kinds[0]) == 0)
    part = box_of(held)
    if held.any():
        held[part] &= cv2.inRange(values[part], *kinds[1]) == 0
    return held


def _find_units(field: Field) -> tuple[npt.NDArray[np.bool_], int, int, int]:
    """Return where normals have length 1, and the numbers of other lengths, of normals, and of units that face away."""
    unit, off, number, away = np.zeros_like(field.valid), 0, 0, 0
    for part in field.strips():
        normals = np.ascontiguousarray(field.decode(*part))
        length = _lengths(normals)
        labelled = field.valid[part] & (length > _SHORTEST)
        here = np.logical_and(labelled, np.abs(length - 1) <= _TOLERANCE, out=unit[part])
        count = int(np.count_nonzero(labelled))
        number += count
        off += count - int(np.count_nonzero(here))
        away += int(np.count_nonzero((cv2.extractChannel(normals, 2) > 0) & here))
    return unit, off, number, away


def _lengths(normals: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the lengths (h, w), which may be NaN or infinite."""
    squares = cv2.transform(cv2.multiply(normals, normals), np.ones((1, 3), np.float32))
    return np.asarray(cv2.sqrt(squares), dtype=np.float32).reshape(normals.shape[:2])


def to_opencv(vectors: npt.NDArray[np.float32], frame: Frame) -> npt.NDArray[np.float32]:
    """Return vectors (..., 3) of `opengl` in OpenCV's frame: y and z change sign; other frames stay as they are."""
    return vectors * np.array(OPENGL_SIGNS, dtype=np.float32) if frame == "opengl" else vectors


def as_vectors(path: Path, values: Array) -> npt.NDArray[np.float32]:
    """Return normals (..., 3) as floats, -1..1; 0 where integers are black.

    Raises:
        DataError: the integers are not uint8 or uint16.
    """
    if values.dtype.kind not in "iu":
        return values.astype(np.float32)
    if values.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: the values are {values.dtype}, expected floats, uint8 or uint16.")
    vectors = values.astype(np.float32) * np.float32(2 / np.iinfo(values.dtype).max) - 1
    return np.where(any_nonzero(values)[..., None], vectors, np.float32(0))
