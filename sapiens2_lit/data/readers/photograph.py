"""A photograph whose pixels are decoded when the size of its view is known."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.readers.images import decode, read_file, read_image, upright_size
from sapiens2_lit.transforms.geometric import Affine, compose, invert, least_shrink, resizing, warp_image

_FACTORS = (8, 4, 2)  # factors by which libjpeg can reduce while it decodes
_JPEG = (".jpg", ".jpeg")


class Photograph:
    """An opened photograph.

    Attributes:
        size: (height, width), upright.

    Args:
        path: of the file.
        reduced: whether a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if it is shown no larger. The pixels then
            differ by a few of 255 levels from those of the whole picture, averaged.

    Raises:
        DataError: the file cannot be read.
    """

    def __init__(self, path: Path, reduced: bool = False) -> None:
        self.path = path
        self._pixels: npt.NDArray[np.uint8] | None = None
        self._file = b""
        if reduced and path.suffix.lower() in _JPEG:
            self._file = read_file(path)
            self.size = upright_size(path, self._file)
        else:
            self._pixels = read_image(path)
            self.size = (self._pixels.shape[0], self._pixels.shape[1])

    def warp(self, affine: Affine, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Return the RGB uint8 (H, W, 3) picture in an input of `size`, by an affine from its upright pixels.

        Raises:
            DataError: the file is damaged.
        """
        pixels, factor = self._pixels, 1
        if pixels is None:
            shrink = least_shrink(affine)
            factor = next((factor for factor in _FACTORS if factor <= shrink), 1)
            pixels = decode(self.path, self._file, factor)
            if pixels.shape[:2] != tuple(-(-side // factor) for side in self.size):
                pixels, factor = decode(self.path, self._file), 1
        to_reduced = resizing(1 / factor, 1 / factor)
        return warp_image(pixels, compose(affine, invert(to_reduced)) if factor > 1 else affine, size)
