"""Albedo, mattes and foregrounds from disk."""

from functools import reduce
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.labels.field import (
    FieldFolder,
    Turn,
    ValidFolder,
    any_nonzero,
    encoding_of,
    split_finite,
)
from sapiens2_lit.data.labels.stored_field import Field, Sampled
from sapiens2_lit.data.readers.arrays import Array
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.fields import zero_invalid

_TOLERANCE = 0.02  # for values in 0..1: overshoot that resampling may have left
_MOST_OFF = 0.01  # share of the pixels whose foreground is brighter than their alpha allows


class ColorFolder(FieldFolder):
    """Colors, sRGB: png of 8 or 16 bits, or npy, npz of floats in 0..1; exr holds linear colors."""

    suffixes = (".png", ".npy", ".npz", ".exr")
    channels = 3

    def stored(self, image: Path, stem: str, size: tuple[int, int]) -> Array:
        """Return the numbers (h, w, 3) of an image's file; linear light in exr is converted to sRGB."""
        values = super().stored(image, stem, size)
        return to_srgb(values) if self.path(stem).suffix == ".exr" else values


class AlbedoFolder(ColorFolder):
    """Albedo, sRGB: png of 8 or 16 bits, or npy, npz of floats in 0..1; black, NaN or infinity for none.

    Every surface reflects some light, so exact black means a pixel without label.

    Args:
        folder: of the files.
        valids: where labels are valid, unless they are black.
        setting: setting of the folder, for messages.
    """

    key = "albedo"

    def __init__(
        self, folder: Path, valids: ValidFolder | None = None, setting: str = "data.albedos"
    ) -> None:
        super().__init__(folder, setting, valids)

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Return sRGB (h, w, 3) in 0..1."""
        return _share(path, values, valid & any_nonzero(values))


class AlphaFolder(FieldFolder):
    """The people's share of each pixel: png of 8 or 16 bits, one channel, or npy, npz of floats in 0..1.

    Args:
        folder: of the files.
        setting: setting of the folder, for messages.
    """

    key = "alpha"
    suffixes = (".png", ".npy", ".npz", ".exr")
    channels = 1
    channels_hint = (
        "PIL's .convert('L') turns a gray picture saved in colors into one channel; the matte of a cut-out (RGBA) is "
        ".getchannel('A')"
    )
    uses_valid = False

    def __init__(self, folder: Path, setting: str = "data.alphas") -> None:
        super().__init__(folder, setting)
        self._last: tuple[Path, Field] | None = None

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Field:
        """Return the matte of an image of `size`."""
        self._last = (image, super().read(image, stem, size))
        return self._last[1]

    def read_again(self, image: Path, stem: str, size: tuple[int, int]) -> Field:
        """Return the last result of `read` if it was for this image: foregrounds need their mattes."""
        last, self._last = self._last, None
        if last is not None and last[0] == image and last[1].valid.shape == size:
            return last[1]
        return self.read(image, stem, size)

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Return shares (h, w, 1) in 0..1."""
        return _share(path, values, valid)

    def settle(self, sampled: Sampled, turn: Turn, intrinsics: Turn) -> npt.NDArray[np.float32]:
        """Set pixels outside the image to NaN: they are unknown."""
        return _clip(sampled.means(np.nan))


class ForegroundFolder(ColorFolder):
    """The color of the people's share of each pixel, sRGB: png of 8 or 16 bits, or npy, npz of floats in 0..1.

    Args:
        folder: of the files.
        alphas: the shares.
        premultiplied: whether the files hold color times share, as in image = foreground + (1 - alpha) background.
        setting: setting of the folder, for messages.
    """

    key = "foreground"
    uses_valid = False

    def __init__(
        self,
        folder: Path,
        alphas: AlphaFolder,
        premultiplied: bool = True,
        setting: str = "data.foregrounds",
    ) -> None:
        super().__init__(folder, setting)
        self.alphas = alphas
        self.premultiplied = premultiplied

    def stored(self, image: Path, stem: str, size: tuple[int, int]) -> Array:
        """Return colors as in other folders; premultiplied exr colors are converted without their shares."""
        values = FieldFolder.stored(self, image, stem, size)
        if self.path(stem).suffix != ".exr":
            return values
        if not self.premultiplied:
            return to_srgb(values)
        alpha = self.alphas.read(image, stem, size).values
        colors = np.divide(values, alpha, out=np.zeros(values.shape, np.float32), where=alpha > 0)
        return to_srgb(colors.clip(0, 1)) * alpha

    def interpret(self, image: Path, stem: str, size: tuple[int, int], values: Array) -> Field:
        """Return premultiplied sRGB (h, w, 3) in 0..1."""
        color, alpha = super().interpret(image, stem, size, values), self.alphas.read_again(image, stem, size)
        if not self.premultiplied:
            return Field(color.values * alpha.values, color.valid & alpha.valid, color.invalid)
        bright = _share_brighter(color, alpha)
        if bright > _MOST_OFF:
            raise DataError(
                f"{self.path(stem)}: {bright:.0%} of the pixels are brighter than their alpha, expected colors "
                "multiplied by it; if these are not, set data.premultiplied to false."
            )
        return color

    def decode(self, path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
        """Return sRGB (h, w, 3) in 0..1."""
        return _share(path, values, valid)

    def settle(self, sampled: Sampled, turn: Turn, intrinsics: Turn) -> npt.NDArray[np.float32]:
        """Set pixels outside the image to 0: nobody is there."""
        return _clip(sampled.means(0.0))


def to_srgb(linear: Array) -> npt.NDArray[np.float32]:
    """Convert linear light to sRGB (IEC 61966-2-1), same shape; values that are not finite stay so."""
    values = linear.astype(np.float32)
    bright = np.maximum(values, np.float32(0.0031308))  # no power of the others
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * bright ** (1 / 2.4) - 0.055).astype(
        np.float32
    )


def _clip(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Limit shares to 1, in place: means of them can be larger by rounding."""
    return np.minimum(planes, np.float32(1), out=planes)


def _share(path: Path, values: Array, valid: npt.NDArray[np.bool_]) -> Field:
    """Check that values (h, w, C) lie in 0..1 where they are valid, and return them as a field.

    Raises:
        DataError: they do not.
    """
    encoding = encoding_of(path, values)
    if encoding is not None:
        return Field(values, valid, 0, encoding)
    numbers = values.astype(np.float32, copy=False)
    valid, infinite = split_finite(numbers, valid)
    counted = numbers if np.count_nonzero(valid) == valid.size else zero_invalid(numbers, valid)
    low, high = counted.min(initial=0), counted.max(initial=0)
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise DataError(
            f"{path}: values from {low:g} to {high:g}, expected 0..1 for floats (0..255 only as integers)."
        )
    return Field(counted.clip(0, 1), valid, infinite)


def _share_brighter(color: Field, alpha: Field) -> float:
    """Return the share of the pixels that have a channel of color brighter than their alpha allows."""
    same = (
        color.encoding is not None and color.encoding == alpha.encoding
    )  # integers are compared as they are
    limit = int(_TOLERANCE * color.encoding.most) if same and color.encoding else _TOLERANCE
    brighter = 0
    for part in color.strips():
        light, allowed = (field.stored[part] if same else field.decode(*part) for field in (color, alpha))
        brightest = reduce(
            cv2.max, cv2.split(light)
        )  # numpy's `max` over three channels takes 16 times as long
        over = cv2.subtract(brightest, np.ascontiguousarray(allowed[..., 0]))
        brighter += int(np.count_nonzero(over > limit))
    return brighter / color.valid.size
