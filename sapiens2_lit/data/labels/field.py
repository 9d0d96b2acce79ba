"""Dense labels of numbers that are valid only in places: what their folders have in common.

Legend: h, w pixels of the image, H, W of the network's input, C channels.
"""

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.data.labels.base import RasterFolder
from sapiens2_lit.data.labels.stored_field import Encoding, Field, Sampled
from sapiens2_lit.data.readers.arrays import Array, read_array
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.fields import warp_planes
from sapiens2_lit.transforms.geometric import Affine

Turn = npt.NDArray[np.float32]

_NOT_BY_CHANCE = (
    0.001  # share of values of 1 among zeros that is more than the leftovers of a picture without people
)


class ValidFolder(RasterFolder):
    """Where labels are valid: png of one channel, 0 for invalid.

    Args:
        folder: of the files.
        setting: setting of the folder, for messages.
    """

    key = "valid"
    suffixes = (".png",)

    def __init__(self, folder: Path, setting: str = "data.valids") -> None:
        super().__init__(folder, setting)

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Return (h, w) bool."""
        path = self.path(stem)
        values = read_array(path, self.key)
        check_shape(path, values, image, size, 1, "PIL's .convert('L') makes one channel of a color picture")
        return np.asarray(values.reshape(size) != 0)

    def warp(self, label: Array, affine: Affine, size: tuple[int, int]) -> Tensor:
        """Return (1, H, W) bool."""
        warped = warp_planes(label[..., None].astype(np.float32), None, affine, size)
        return torch.from_numpy(warped >= 0.5)


class FieldFolder(RasterFolder):
    """Maps of numbers. A subclass decodes them, finds where they are valid, and turns them with the camera.

    Attributes:
        channels: of the file.
        channels_hint: what to do about a file with another number of channels, for messages.
        no_value: content of the pixels in `Field.invalid`, for messages.
        uses_valid: whether labels are valid only in places, given by `valid` of the batch. Otherwise the whole image is
            valid, and pixels of the input outside it are NaN.
        kind: label that the files hold, if it differs from the batch's label.
        layer: which layer of exr files to use, if several fit.

    Args:
        folder: of the files.
        setting: setting of the folder, for messages.
        valids: where labels are valid, besides what the files say themselves.
    """

    channels: ClassVar[int]
    channels_hint: ClassVar[str] = ""
    no_value: ClassVar[str] = "NaN or infinite"
    uses_valid: ClassVar[bool] = True
    kind: ClassVar[str] = ""
    layer: str | None = None

    def __init__(self, folder: Path, setting: str, valids: ValidFolder | None = None) -> None:
        super().__init__(folder, setting)
        self.valids = valids

    @abstractmethod
    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Return the label that a file holds, checked where it may be valid.

        Args:
            path: the file, for messages.
            values: 3-D (h, w, C) as in the file.
            valid: 2-D (h, w), where the label may be valid.

        Raises:
            DataError: the file is wrong; the message names it, what was found and what was expected.
        """

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Field:
        """Return the label of an image of `size`, in the image's pixels."""
        return self.interpret(image, stem, size, self.stored(image, stem, size))

    def interpret(self, image: Path, stem: str, size: tuple[int, int], values: Array) -> Field:
        """Return the label that the numbers from `stored` mean."""
        valid = np.ones(size, dtype=bool) if self.valids is None else self.valids.read(image, stem, size)
        return self.decode(self.path(stem), values, valid)

    def stored(self, image: Path, stem: str, size: tuple[int, int]) -> Array:
        """Return the numbers (h, w, C) of an image's file as they are."""
        path = self.path(stem)
        values = read_array(path, self.kind or self.key, self.channels, self.layer)
        check_shape(path, values, image, size, self.channels, self.channels_hint)
        return values.reshape(*size, self.channels)

    def warp(self, label: Field, affine: Affine, size: tuple[int, int]) -> Tensor:
        """Return (C, H, W) float32, NaN where the label is invalid, in the frame of the label's camera."""
        return torch.from_numpy(label.warp(affine, size))

    def settle(self, sampled: Sampled, turn: Turn, intrinsics: Turn) -> npt.NDArray[np.float32]:
        """Return a sampled label (C, H, W) in the frame of the camera of the warped image; 0 where it is invalid.

        It may remove pixels from `sampled.counts`.

        Args:
            sampled: the label.
            turn: (3, 3) float32, orthogonal, from the frame of the old camera to that of the new one.
            intrinsics: (3, 3) float32 of the new camera.
        """
        return sampled.means(0.0)

    def count_valid(self, label: Field) -> int | None:
        return label.num_valid if self.uses_valid else None

    def unlabeled(self, stems: Iterable[str]) -> dict[str, str]:
        stems = list(stems)
        invalid = {} if self.valids is None else self.valids.unlabeled(stems)
        return invalid | super().unlabeled(stems)

    def check(self, stems: Iterable[str]) -> None:
        """Check that each stem has its file, and its file in `valids`.

        Raises:
            DataError: files are missing; the message names them.
        """
        stems = list(stems)
        super().check(stems)
        if self.valids is not None:
            self.valids.check(stems)


def split_finite(
    values: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], int]:
    """Return where 3-D values (h, w, C) are valid and finite, and how many pixels are valid but not finite."""
    if values.dtype.kind in "iu":
        return valid, 0
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return valid, 0  # one number that is not finite would make the sum so
    finite = np.ones(valid.shape, dtype=bool)
    for channel in range(values.shape[2]):  # numpy's `all` over three channels takes ten times as long
        finite &= np.isfinite(values[..., channel])
    return valid & finite, int(np.count_nonzero(valid & ~finite))


def any_nonzero(values: Array) -> npt.NDArray[np.bool_]:
    """Return where any channel of 3-D values (h, w, C) is not 0, as (h, w)."""
    if values.dtype in (np.uint8, np.uint16) and values.shape[2] in (1, 3):
        black = (0,) * values.shape[2]
        return np.asarray(cv2.inRange(values, black, black) == 0)
    found = np.zeros(values.shape[:2], dtype=bool)
    for channel in range(values.shape[2]):
        found |= values[..., channel] != 0
    return found


def encoding_of(path: Path, values: Array) -> Encoding | None:
    """Return how integers of 8 or 16 bits encode shares 0..1; None for floats.

    Raises:
        DataError: integers of another width or with a sign, for which the value of 1 is unknown; or only 0 and 1.
    """
    if values.dtype.kind not in "iu":
        return None
    if values.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"{path}: the values are {values.dtype}, expected floats, or uint8 or uint16, whose largest value stands "
            f"for 1: convert them, such as by .astype('uint8') where they are 0..255 (here {values.min()} to "
            f"{values.max()})."
        )
    most = np.iinfo(values.dtype).max
    if values.max(initial=0) == 1 and values.mean() > _NOT_BY_CHANCE:
        raise DataError(
            f"{path}: the values are only 0 and 1, in {values.dtype}, whose largest value, {most}, stands for 1: "
            f"multiply them by {most}."
        )
    return Encoding(int(most))


def check_shape(
    path: Path, values: Array, image: Path, size: tuple[int, int], channels: int, hint: str = ""
) -> None:
    """Check that an array has its image's size and the expected channels.

    Args:
        path: file of the array, for messages.
        values: the array.
        image: the image, for messages.
        size: (height, width) of the image.
        channels: the expected number.
        hint: what to do about other channels, for messages.

    Raises:
        DataError: size or channels differ.
    """
    found = values.shape[2] if values.ndim == 3 else 1
    if values.shape[:2] != size:
        turned = " (turned: photographs are used upright)" if values.shape[:2] == size[::-1] else ""
        first = " (channels come last: transpose it)" if values.shape[1:] == size else ""
        raise DataError(
            f"{path}: the label is {values.shape[1]} x {values.shape[0]}{turned}{first}, its image {image} is "
            f"{size[1]} x {size[0]} (width x height): they must have the same size, with the same crop and scale."
        )
    if found != channels:
        raise DataError(f"{path}: the label has {found} channels, expected {channels}{hint and ': '}{hint}.")
