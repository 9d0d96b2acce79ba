"""Intrinsics: one file per image, one for all, or a field of view."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.data.labels.base import LabelSource, RasterFolder
from sapiens2_lit.data.labels.camera_entries import camera_entry, declared_size, entry_intrinsics, entry_pose
from sapiens2_lit.data.labels.frames import Pose
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.geometry import focal_from_field_of_view, intrinsics_from_focal, warp_camera
from sapiens2_lit.transforms.geometric import Affine

Intrinsics = npt.NDArray[np.float64]

_LEAST_FACTOR = (
    0.15  # relative difference of sizes that reveals a principal point in the middle of another image
)
_SAME_FACTOR = 0.07
_WIDEST = 150.0  # degrees across the longer side; beyond, focal lengths are in another unit than pixels
_NARROWEST = 0.5
_SAME_MIDDLE = 0.02  # share of an image's sides: a middle principal point may be off by this much
_LEAST_SIZE = 8  # pixels of an image whose middle is not at 0..1
_TURNED = 0.1  # least relative difference of width and height at which an exchange shows

_FORMAT = "[[fx, skew, cx], [0, fy, cy], [0, 0, 1]] in pixels whose centers are integers"


class CameraSource(LabelSource):
    """Intrinsics (3, 3) float64 of images, in pixels whose centers are integers."""

    key = "intrinsics"
    has_files: ClassVar[bool] = True  # which may hold extrinsics

    def pose(self, image: Path, stem: str, frame: str) -> Pose:
        """Return the transformation from a world frame to the camera's frame.

        Raises:
            DataError: the file of the image's camera has no extrinsics, or wrong ones.
        """
        path = self.file_of(stem)
        return entry_pose(camera_entry(path, image) if path.suffix == ".json" else None, path, frame)

    def file_of(self, stem: str) -> Path:
        """Return the file of an image's camera."""
        raise NotImplementedError

    @abstractmethod
    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Intrinsics:
        """Return the intrinsics of an upright image of `size` (height, width)."""

    def warp(self, label: Intrinsics, affine: Affine, size: tuple[int, int]) -> Tensor:
        """Return the intrinsics (3, 3) float32 of the image as the network sees it: K' in A K = K' Q."""
        return torch.from_numpy(warp_camera(label, affine)[0].astype(np.float32))


class CameraFolder(RasterFolder, CameraSource):
    """One file per image or per folder of images: json or txt, as `read_camera` reads them.

    For the image camA/0001.jpg the file is camA/0001.json, else camA.json: the nearest folder that has one.
    """

    suffixes = (".json", ".txt")

    def __init__(self, folder: Path, setting: str = "data.cameras") -> None:
        super().__init__(folder, setting)

    def names(self, stem: str) -> list[str]:
        return [stem, *map(str, PurePosixPath(stem).parents)][:-1]  # without the folder of all, "."

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Intrinsics:
        return read_camera(self.path(stem), image, size)

    def file_of(self, stem: str) -> Path:
        return self.path(stem)


class CameraFile(CameraSource):
    """One file for all images: one camera for images of one size, or the `frames` of a transforms.json."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Intrinsics:
        return read_camera(self.path, image, size)

    def file_of(self, stem: str) -> Path:
        return self.path

    def check(self, stems: Iterable[str]) -> None:
        """Accept every stem: one file serves all."""


class FieldOfView(CameraSource):
    """Cameras with square pixels and the principal point in the middle of the image.

    Args:
        degrees: across the longer side of the image.

    Raises:
        SettingError: it is not between 0 and 180.
    """

    has_files = False

    def __init__(self, degrees: float) -> None:
        if not 0 < degrees < 180:
            raise SettingError(f"data.field_of_view is {degrees}, expected degrees, above 0 and below 180.")
        self.angle = torch.tensor([math.radians(degrees)], dtype=torch.float64)

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Intrinsics:
        return intrinsics_from_focal(focal_from_field_of_view(self.angle, max(size)), size)[0].numpy()

    def check(self, stems: Iterable[str]) -> None:
        """Accept every stem: no files are needed."""


def find_cameras(root: Path, cameras: str | None, field_of_view: float | None) -> CameraSource | None:
    """Return the source of intrinsics; None if neither `cameras` nor `field_of_view` is given.

    Args:
        root: the dataset's folder.
        cameras: a folder or a file under `root`, or None.
        field_of_view: in degrees, or None.

    Raises:
        SettingError: both are given.
        DataError: there is no such folder or file.
    """
    if field_of_view is not None:
        if cameras is not None:
            raise SettingError(
                f"data.field_of_view is {field_of_view} and data.cameras {cameras!r}: set one of them to null."
            )
        return FieldOfView(field_of_view)
    if cameras is None:
        return None
    place = root / cameras
    if not place.exists():
        raise DataError(
            f"{place} does not exist: `data.cameras` must be a folder with a json or txt for each image or folder of "
            "images, or one such file for all. If they are unknown, set data.field_of_view to degrees instead."
        )
    return CameraFile(place) if place.is_file() else CameraFolder(place)


def read_camera(path: Path, image: Path, size: tuple[int, int]) -> Intrinsics:
    """Read intrinsics (3, 3) from a file.

    A txt holds nine numbers, row by row. A json holds a 3 x 3 list, or an object with the list as `intrinsics` (or
    `K`). The numbers are pixels, or with `normalized: true` shares of the image's size. An object may have a
    `field_of_view` instead, and the `width` and `height` of its image. A transforms.json with `frames` is also read
    (`camera_entry`).

    Args:
        path: the file.
        image: its image, for messages.
        size: (height, width) of that image.

    Raises:
        DataError: the file is missing or broken, is no camera, is not in pixels, or belongs to an image of another
            size.
    """
    declared: Any = None
    if path.suffix == ".json":
        content = camera_entry(path, image)
        if isinstance(content, dict):
            declared = declared_size(content)
            content = entry_intrinsics(content, path, size)
    else:
        content = _read_text(path)
    try:
        matrix = np.array(content, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.size != 9:
        raise DataError(
            f"{path}: no intrinsics in it, expected 3 x 3 numbers, {_FORMAT}, or a `field_of_view`."
        )
    matrix = matrix.reshape(3, 3)
    below = [*matrix[np.tril_indices(3, -1)], matrix[2, 2] - 1]
    if not np.isfinite(matrix).all() or np.abs(below).max() > 1e-6 or min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise DataError(
            f"{path}: the intrinsics are {matrix.tolist()}, expected {_FORMAT}, fx and fy above 0."
        )
    _check_size(path, matrix, image, size, declared)
    return matrix


def _read_text(path: Path) -> list[float]:
    try:
        return [float(word) for word in path.read_text(encoding="utf-8-sig").replace(",", " ").split()]
    except FileNotFoundError:
        raise DataError(f"{path}: the file does not exist.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the camera cannot be read, expected nine numbers: {error}.") from error


def _check_pixels(path: Path, matrix: Intrinsics, image: Path, size: tuple[int, int]) -> None:
    """Check that the intrinsics are pixels, not shares of the image or millimeters.

    Raises:
        DataError: they are not.
    """
    height, width = size
    fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    angles = [math.degrees(2 * math.atan(max(size) / 2 / focal)) for focal in (fx, fy)]
    wide = max(angles) > _WIDEST
    if min(size) >= _LEAST_SIZE and 0 <= cx <= 1 and 0 <= cy <= 1 and wide:
        raise DataError(
            f"{path}: fx, fy, cx, cy are {fx:g}, {fy:g}, {cx:g}, {cy:g}, expected pixels: these seem to be normalized "
            f"by the image's size. Multiply fx and cx by the width and fy and cy by the height of {image}, "
            f"{width} x {height}, and subtract 0.5 from cx and cy: the centers of pixels are integers. Or set "
            "`normalized: true` beside `intrinsics` in a json."
        )
    if wide or min(angles) < _NARROWEST:
        raise DataError(
            f"{path}: fx and fy are {fx:g} and {fy:g}, which makes fields of view of {angles[0]:.3g} and "
            f"{angles[1]:.3g} degrees across the longer side of {image}, {width} x {height}; expected "
            f"{_NARROWEST:g} to {_WIDEST:g}: focal lengths are pixels of this image, not millimeters."
        )


def _check_turn(path: Path, matrix: Intrinsics, image: Path, size: tuple[int, int]) -> None:
    """Check that the principal point is not the middle of the image with x and y exchanged.

    Raises:
        DataError: it is.
    """
    (height, width), (cx, cy) = size, matrix[:2, 2]
    turned = abs(cx - (height - 1) / 2) <= _SAME_MIDDLE * height and (
        abs(cy - (width - 1) / 2) <= _SAME_MIDDLE * width
    )
    if turned and abs(width - height) > _TURNED * max(size):
        raise DataError(
            f"{path}: the principal point ({cx:g}, {cy:g}) is the middle of an image of {height} x {width}, {image} is "
            f"{width} x {height}: x and y are exchanged. Exchange fx with fy and cx with cy, or turn the camera as the "
            "photograph was turned. If they are right, as for a crop, confirm it by `width` and `height` in the "
            "json, beside `intrinsics`."
        )


def _check_size(
    path: Path, matrix: Intrinsics, image: Path, size: tuple[int, int], declared: tuple[Any, Any] | None
) -> None:
    """Check that the intrinsics belong to an image of this size, by the declared size or the principal point.

    A principal point in the middle of an image of another size, or outside this image, belongs to another image.

    Raises:
        DataError: they belong to another size.
    """
    height, width = size
    _check_pixels(path, matrix, image, size)
    if declared is not None and declared != (None, None):
        if None in declared:
            raise DataError(f"{path}: only one of `width` and `height` is given, expected both or none.")
        if declared != size:
            raise DataError(
                f"{path}: the intrinsics are of an image of {declared[1]} x {declared[0]} (width x height), {image} is "
                f"{width} x {height}: scale the image or the intrinsics."
            )
        return
    _check_turn(path, matrix, image, size)
    beyond = not (-0.5 <= matrix[0, 2] < width - 0.5 and -0.5 <= matrix[1, 2] < height - 0.5)
    factor_x, factor_y = 2 * (matrix[0, 2] + 0.5) / width, 2 * (matrix[1, 2] + 0.5) / height
    alike = abs(factor_x - factor_y) <= _SAME_FACTOR * factor_x
    if beyond or (alike and abs(factor_x - 1) > _LEAST_FACTOR):
        where = (
            f"is the middle of an image of {factor_x * width:.0f} x {factor_y * height:.0f}"
            if alike
            else "lies outside the image"
        )
        raise DataError(
            f"{path}: the principal point ({matrix[0, 2]:g}, {matrix[1, 2]:g}) {where}, {image} is {width} x {height}: "
            "these seem to be the intrinsics of another resolution; scale fx, fy, cx, cy. If they are right, as for a "
            "crop, confirm it by `width` and `height` of this image in the json, beside `intrinsics`."
        )
