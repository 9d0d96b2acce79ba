"""Depth and point maps from disk. A point map is kept as depth and camera, which give its points exactly."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from sapiens2_lit.data.checks.sentinels import is_sentinel, without_sentinels
from sapiens2_lit.data.labels.camera import CameraSource
from sapiens2_lit.data.labels.field import FieldFolder, Turn, ValidFolder, any_nonzero, split_finite
from sapiens2_lit.data.labels.frames import FRAMES, Frame
from sapiens2_lit.data.labels.normal import OTHER_FRAME, to_opencv
from sapiens2_lit.data.labels.stored_field import Field, Sampled
from sapiens2_lit.data.labels.world import advise_on_frame, check_frame, pose_of
from sapiens2_lit.data.readers.arrays import Array
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.geometry import unproject

_FARTHEST = 100.0  # meters; larger depth is ignored, and if the nearest is larger, the unit is another one
_NEAREST = 0.05  # meters of a photograph's median depth; below, the unit is another one
_FARTHEST_RATIO = 1e4  # for depth without a unit, relative to that of its nearest pixels
_NEAR = 5  # percent of the pixels that are nearest
_LOOKED_AT = 16384  # values, at most, for the percentiles
_CHECKED = 4096  # points of an image, at most, that are checked
_MOST_OFF = 0.01  # share of the image's longer side: largest median distance of points from their pixels


class DepthFolder(FieldFolder):
    """Depth along z (h, w): npy, npz, png of 16 bits, or exr (Z, a depth pass); 0, NaN or infinity for none.

    The largest number of the format (65535 for 16 bits, 65504 for half floats) and numbers from 1e9 on also mean none.
    So do depths above 100 m, or without a unit above 10 000 times the nearest twentieth.

    Args:
        folder: of the files.
        unit: meters of one unit of the files, such as 0.001 for millimeters. Null: 1 for floats; integers need a unit.
        relative: depth of an unknown scale: any unit is possible, larger is still farther.
        valids: where labels are valid, if they are above 0.
        setting: setting of the folder, for messages.
    """

    key = kind = "depth"
    suffixes = (".npy", ".npz", ".png", ".exr")
    channels = 1
    channels_hint = "keep one, values[..., 0], if all hold the same depth; depth in false colors is no label"

    def __init__(
        self,
        folder: Path,
        unit: float | None = None,
        *,
        relative: bool = False,
        valids: ValidFolder | None = None,
        setting: str = "data.depths",
    ) -> None:
        super().__init__(folder, setting, valids)
        self.unit = unit
        self.relative = relative

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Return the depth (h, w, 1) in meters."""
        if path.suffix == ".png" and values.dtype == np.uint8:
            raise DataError(
                f"{path}: a png of 8 bits, expected 16: with 256 steps it is most likely a picture of depth, scaled or "
                "inverted. Write the depth itself as npy or npz of floats, or as png of 16 bits with data.unit."
            )
        if values.dtype.kind in "iu" and self.unit is None and not self.relative:
            raise DataError(
                f"{path}: depth in {values.dtype} and data.unit is null: set it to the meters of one unit, such as "
                "0.001 for millimeters."
            )
        valid = without_sentinels(values[..., 0], valid)
        metres = _to_metres(values, self.unit)
        return check_depth(path, metres, valid, self.relative, self.unit)


class UnprojectedFolder(DepthFolder):
    """Point maps from depth and the camera among the labels."""

    key = "pointmap"

    def settle(self, sampled: Sampled, turn: Turn, intrinsics: Turn) -> npt.NDArray[np.float32]:
        """Return points (3, H, W) on the rays of their pixels."""
        (depth,) = sampled.means(0.0)
        if intrinsics[0, 1] != 0:
            rays = unproject(*(torch.from_numpy(part)[None] for part in (depth[None], intrinsics)))
            return np.asarray(rays[0].numpy())
        height, width = depth.shape  # without skew, rays factor into columns and rows
        x = (np.arange(width, dtype=np.float32) - intrinsics[0, 2]) / intrinsics[0, 0]
        y = (np.arange(height, dtype=np.float32) - intrinsics[1, 2]) / intrinsics[1, 1]
        points = np.empty((3, height, width), np.float32)
        np.multiply(x, depth, out=points[0])
        np.multiply(y[:, None], depth, out=points[1])
        points[2] = depth
        return points


class PointmapFolder(FieldFolder):
    """Point maps (h, w, 3), x, y, z: npy, npz or exr; all 0, NaN or infinity for none.

    Each point must lie on the ray of its pixel. Only its depth is kept, since the camera gives the rest.

    Args:
        folder: of the files.
        cameras: of the images.
        frame: of the files, one of `FRAMES`; world frames need extrinsics of the cameras, in the same unit.
        unit: meters of one unit of the files, such as 0.001 for millimeters; null for the unit of the frame.
        valids: where labels are valid, if they lie in front of the camera.
        setting: setting of the folder, for messages.
    """

    key = "pointmap"
    suffixes = (".npy", ".npz", ".exr")
    channels = 3
    settle = UnprojectedFolder.settle

    def __init__(
        self,
        folder: Path,
        cameras: CameraSource,
        frame: Frame = "opencv",
        unit: float | None = None,
        valids: ValidFolder | None = None,
        setting: str = "data.pointmaps",
    ) -> None:
        super().__init__(folder, setting, valids)
        self.cameras = cameras
        self.frame = frame
        self.unit = FRAMES[frame].unit if unit is None and FRAMES[frame].unit != 1 else unit
        check_frame(frame, cameras)

    def interpret(self, image: Path, stem: str, size: tuple[int, int], values: Array) -> Field:
        """Return the depth (h, w, 1) of an image's points."""
        if self.frame not in OTHER_FRAME:
            known = any_nonzero(values) & ~is_sentinel(values).any(axis=2)
            moved = pose_of(self.frame, self.cameras, image, stem).points(values)
            values = np.where(known[..., None], moved, np.float32(0))
        points = super().interpret(image, stem, size, values)
        assert isinstance(points, _Points)
        self._check_rays(self.path(stem), points, self.cameras.read(image, stem, size))
        return Field(points.z[..., None], points.valid, points.invalid)

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> "_Points":
        """Return points (h, w, 3) in meters in the camera's frame."""
        if values.dtype.kind in "iu" and self.unit is None:
            raise DataError(
                f"{path}: points in {values.dtype} and data.unit is null: set it to the meters of one unit, such as "
                "0.001 for millimeters."
            )
        z = _plane(values, 2)
        valid = without_sentinels(z, valid)
        points = to_opencv(_to_metres(values, self.unit), self.frame)
        valid, infinite = split_finite(points, valid)
        z = z if points is values else _plane(points, 2)
        if not z.min(initial=0) >= 0 or infinite:  # NaN hides negative values in the minimum
            valid = valid & (z != 0)
            count = np.count_nonzero(valid)
            behind = np.count_nonzero(valid & (z < 0)) / count if count else 0.0
            if behind > 0.5:
                raise DataError(
                    f"{path}: {behind:.0%} of the points lie behind the camera: they are in another frame than "
                    f"data.frame says, '{self.frame}'{advise_on_frame(self.frame)}."
                )
        valid = check_depth(path, z[..., None], valid, unit=self.unit).valid
        return _Points(points, valid, infinite, z)

    def _check_rays(self, path: Path, points: Field, intrinsics: npt.NDArray[np.float64]) -> None:
        v, u = _some_places(points.valid, points.num_valid, _CHECKED)
        if not len(v):
            return
        projected = points.values[v, u].astype(np.float64) @ intrinsics.T
        off = np.abs(projected[:, :2] / projected[:, 2:] - np.stack([u, v], axis=1)).max(axis=1)
        height, width = points.valid.shape
        limit = max(1.0, _MOST_OFF * max(height, width))
        if np.median(off) > limit:
            raise DataError(
                f"{path}: by the camera of data.cameras or data.field_of_view the points lie {np.median(off):.1f} "
                f"pixels off their own pixels (median), expected less than {limit:.1f}: the intrinsics do not belong "
                f"to the {width} x {height} pixels of this image (another resolution, or a crop), or data.frame, "
                f"'{self.frame}', is wrong."
            )


class _Points(Field):
    """Points (h, w, 3), and their z (h, w), contiguous, which is taken out of them once."""

    def __init__(
        self,
        points: npt.NDArray[np.float32],
        valid: npt.NDArray[np.bool_],
        invalid: int,
        z: npt.NDArray[np.float32],
    ) -> None:
        super().__init__(points, valid, invalid)
        self.z = z


def check_unit(unit: float | None) -> None:
    """Check that `data.unit` is a number of meters.

    Raises:
        SettingError: it is not.
    """
    if unit is not None and not 0 < unit < float("inf"):
        raise SettingError(
            f"data.unit is {unit}, expected the meters of one unit, such as 0.001 for millimeters."
        )


def check_depth(
    path: Path,
    depth: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    relative: bool = False,
    unit: float | None = None,
) -> Field:
    """Return the depth with its valid pixels: finite, above 0, and not so far that it is background without depth.

    Args:
        path: the file, for messages.
        depth: 3-D (h, w, 1) in meters, or relative.
        valid: 2-D (h, w), where it may be valid.
        relative: whether its scale is unknown.
        unit: `data.unit`, for messages.

    Raises:
        DataError: some of it is negative, or, if not relative, its unit must be another one.
    """
    valid, infinite = split_finite(depth, valid)
    z = depth[..., 0]
    if (not z.min(initial=0) >= 0 or infinite) and (negative := valid & (z < 0)).any():
        raise DataError(
            f"{path}: {negative.sum()} pixels have negative depth, down to {depth[negative].min():g}; expected "
            "distances along z in front of the camera, and 0 or NaN where there is none."
        )
    field = Field(depth, valid & (z > 0), infinite)
    counted = z[_some_places(field.valid, field.num_valid, _LOOKED_AT)]
    if not len(counted):
        return field
    if relative:
        limit = _FARTHEST_RATIO * float(np.percentile(counted, _NEAR))
    else:
        _check_unit(path, counted, unit)
        limit = _FARTHEST
    return Field(depth, field.valid & (z <= limit), infinite) if not z.max() <= limit else field


def _some_places(
    valid: npt.NDArray[np.bool_], number: int, most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return rows and columns of about `most` valid pixels out of `number`.

    It uses all pixels, or every second, third ... one of a row and of a column.
    """
    step = max(1, round((number / most) ** 0.5))
    rows, columns = np.nonzero(valid[::step, ::step])
    if not len(rows) and step > 1:
        return _some_places(valid, most, most)
    return rows * step, columns * step


def _to_metres(values: Array, unit: float | None) -> npt.NDArray[np.float32]:
    """Return a file's numbers in meters; without conversion, the same array."""
    numbers = values.astype(np.float32, copy=False)
    return numbers if unit in (None, 1) else numbers * np.float32(unit)


def _plane(values: Array, channel: int) -> Array:
    """Return one channel (h, w) of (h, w, C), contiguous: numpy is several times slower on every third number."""
    if values.dtype == np.float32 and values.flags.c_contiguous:
        return np.asarray(cv2.extractChannel(values, channel))
    return np.ascontiguousarray(values[..., channel])


def _check_unit(path: Path, depths: npt.NDArray[np.float32], unit: float | None) -> None:
    """Check that depths (N,) of an image, above 0, are meters.

    Raises:
        DataError: they are not.
    """
    near, middle = (float(value) for value in np.percentile(depths, [_NEAR, 50]))
    if near > _FARTHEST:  # not only the background
        raise DataError(
            f"{path}: the median depth is {middle:g} m, expected less than {_FARTHEST:g} m: set data.unit to the "
            "meters of one unit of the file, such as 0.001 for millimeters."
        )
    if middle < _NEAREST:
        once = (
            ""
            if unit in (None, 1)
            else f" (it is {unit:g}, and the file seems to be in meters: leave it null)"
        )
        raise DataError(
            f"{path}: the median depth is {middle:.2g} m, expected {_NEAREST:g} m or more: set data.unit to the meters "
            f"of one unit of the file{once}. If the file holds shares of the largest depth instead of meters, set "
            "data.relative to true."
        )
