"""Depth and point maps from disk. A point map is kept as depth and camera, from which its points follow exactly."""

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

_FARTHEST = 100.0  # metres; what is farther does not count, and if the nearest is, the unit is another one
_NEAREST = 0.05  # metres of the median of a photograph; below, the unit is another one
_FARTHEST_RATIO = 1e4  # of depth without a unit, to that of its nearest pixels
_NEAR = 5  # per cent of the pixels that are nearest
_LOOKED_AT = 16384  # values, at most, whose percentiles are taken
_CHECKED = 4096  # points of an image, at most, that are looked at
_MOST_OFF = 0.01  # of the image's longer side, that points may lie off their pixels in the median


class DepthFolder(FieldFolder):
    """Depth along z (h, w): npy, npz, png of 16 bits, or exr (Z, a depth pass); 0, NaN or infinity for none.

    The largest number of the format (65535 of 16 bits, 65504 of half floats), 1e9 and above count as none, too, and so
    does what is farther than 100 m, or without a unit 10 000 times as far as the nearest twentieth.

    Args:
        folder: where they are.
        unit: metres of one unit of the files, such as 0.001 for millimetres. Null: 1 for floats; integers need one.
        relative: depth of an unknown scale: any unit will do, larger is farther all the same.
        valids: where they count, besides being above 0.
        setting: what led here, for messages.
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
        """Depth (h, w, 1) in metres."""
        if path.suffix == ".png" and values.dtype == np.uint8:
            raise DataError(
                f"{path}: a png of 8 bits, expected 16: with 256 steps it is most likely a picture of depth, scaled or "
                "inverted. Write the depth itself as npy or npz of floats, or as png of 16 bits with data.unit."
            )
        if values.dtype.kind in "iu" and self.unit is None and not self.relative:
            raise DataError(
                f"{path}: depth in {values.dtype} and data.unit is null: set it to the metres of one unit, such as "
                "0.001 for millimetres."
            )
        valid = without_sentinels(values[..., 0], valid)
        metres = _to_metres(values, self.unit)
        return check_depth(path, metres, valid, self.relative, self.unit)


class UnprojectedFolder(DepthFolder):
    """Point maps from depth and the camera among the labels."""

    key = "pointmap"

    def settle(self, sampled: Sampled, turn: Turn, intrinsics: Turn) -> npt.NDArray[np.float32]:
        """Points (3, H, W) on the rays of their pixels."""
        (depth,) = sampled.means(0.0)
        if intrinsics[0, 1] != 0:
            rays = unproject(*(torch.from_numpy(part)[None] for part in (depth[None], intrinsics)))
            return np.asarray(rays[0].numpy())
        height, width = depth.shape  # without skew, rays are those of columns and of rows
        x = (np.arange(width, dtype=np.float32) - intrinsics[0, 2]) / intrinsics[0, 0]
        y = (np.arange(height, dtype=np.float32) - intrinsics[1, 2]) / intrinsics[1, 1]
        points = np.empty((3, height, width), np.float32)
        np.multiply(x, depth, out=points[0])
        np.multiply(y[:, None], depth, out=points[1])
        points[2] = depth
        return points


class PointmapFolder(FieldFolder):
    """Point maps (h, w, 3), x, y, z: npy, npz or exr; all 0, NaN or infinity for none.

    Each point must lie on the ray of its pixel. It is kept as its depth, since the camera says the rest.

    Args:
        folder: where they are.
        cameras: of the images.
        frame: of the files, one of `FRAMES`; those of a world need extrinsics of the cameras, in the same unit.
        unit: metres of one unit of the files, such as 0.001 for millimetres; null for that of the frame.
        valids: where they count, besides lying in front of the camera.
        setting: what led here, for messages.
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
        self._check_rays(self.path(stem), points, self.cameras.read(image, stem, size))
        return points.channel(2)

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Points (h, w, 3) in metres in the camera's frame."""
        if values.dtype.kind in "iu" and self.unit is None:
            raise DataError(
                f"{path}: points in {values.dtype} and data.unit is null: set it to the metres of one unit, such as "
                "0.001 for millimetres."
            )
        z = _plane(values, 2)
        valid = without_sentinels(z, valid)
        points = to_opencv(_to_metres(values, self.unit), self.frame)
        valid, infinite = split_finite(points, valid)
        z = z if points is values else _plane(points, 2)
        if not z.min(initial=0) >= 0 or infinite:  # NaN, too, hides what is negative
            valid = valid & (z != 0)
            count = np.count_nonzero(valid)
            behind = np.count_nonzero(valid & (z < 0)) / count if count else 0.0
            if behind > 0.5:
                raise DataError(
                    f"{path}: {behind:.0%} of the points lie behind the camera: they are in another frame than "
                    f"data.frame says, '{self.frame}'{advise_on_frame(self.frame)}."
                )
        valid = check_depth(path, z[..., None], valid, unit=self.unit).valid
        return Field(points, valid, infinite)

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
                f"pixels off their own pixels (median), expected less than {limit:.1f}: the intrinsics are not those "
                f"of the {width} x {height} pixels of this image (another resolution, or a crop), or data.frame, "
                f"'{self.frame}', is wrong."
            )


def check_unit(unit: float | None) -> None:
    """Raise SettingError where `data.unit` is no number of metres."""
    if unit is not None and not 0 < unit < float("inf"):
        raise SettingError(
            f"data.unit is {unit}, expected the metres of one unit, such as 0.001 for millimetres."
        )


def check_depth(
    path: Path,
    depth: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    relative: bool = False,
    unit: float | None = None,
) -> Field:
    """Depth (h, w, 1) where it counts: finite, above 0, and not so far away that it is background without depth.

    Args:
        path: the file, for messages.
        depth: in metres, or relative.
        valid: (h, w) where it may count.
        relative: whether its scale is unknown.
        unit: `data.unit`, for messages.

    Raises:
        DataError: some of it is negative, or, if not relative, so far or so near that its unit must be another one.
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
    """Rows and columns of valid pixels, of which there are `number`: of all, or of every second, third ... of a row and
    of a column, where that leaves about `most`.
    """
    step = max(1, round((number / most) ** 0.5))
    rows, columns = np.nonzero(valid[::step, ::step])
    if not len(rows) and step > 1:
        return _some_places(valid, most, most)
    return rows * step, columns * step


def _to_metres(values: Array, unit: float | None) -> npt.NDArray[np.float32]:
    """Numbers of a file in metres; they themselves where they are."""
    numbers = values.astype(np.float32, copy=False)
    return numbers if unit in (None, 1) else numbers * np.float32(unit)


def _plane(values: Array, channel: int) -> Array:
    """One channel (h, w) of (h, w, C), contiguous: numpy is several times slower on every third number."""
    if values.dtype == np.float32 and values.flags.c_contiguous:
        return np.asarray(cv2.extractChannel(values, channel))
    return np.ascontiguousarray(values[..., channel])


def _check_unit(path: Path, depths: npt.NDArray[np.float32], unit: float | None) -> None:
    """Raise DataError where depths (N,) of an image, above 0, are no metres."""
    near, middle = (float(value) for value in np.percentile(depths, [_NEAR, 50]))
    if near > _FARTHEST:  # not only the background
        raise DataError(
            f"{path}: the median depth is {middle:g} m, expected less than {_FARTHEST:g} m: set data.unit to the "
            "metres of one unit of the file, such as 0.001 for millimetres."
        )
    if middle < _NEAREST:
        once = (
            ""
            if unit in (None, 1)
            else f" (it is {unit:g}, and the file seems to be in metres: leave it null)"
        )
        raise DataError(
            f"{path}: the median depth is {middle:.2g} m, expected {_NEAREST:g} m or more: set data.unit to the metres "
            f"of one unit of the file{once}. If the file holds no metres but shares of the largest depth, set "
            "data.relative to true."
        )
