"""Views: what the network sees of an image, with one affine to get there and back.

Sizes are (height, width); pixel centers are integers, as in `transforms.geometric`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sapiens2_lit.transforms.crop import BOX_PADDING, crop_affine
from sapiens2_lit.transforms.geometric import (
    Affine,
    apply_affine,
    compose,
    invert,
    resizing,
    warp_image,
)
from sapiens2_lit.transforms.whole_image import ImageView, fit_affine

Size = tuple[int, int]
Rendered = Mapping[tuple[bytes, Size], npt.NDArray[np.uint8]]  # inputs of an image by `View.key`


class Rectangle(NamedTuple):
    """Whole pixels of an image, as slices of its rows and columns."""

    rows: slice
    columns: slice

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def corner(self) -> tuple[int, int]:
        """X and y of the first pixel."""
        return self.columns.start, self.rows.start


@dataclass(frozen=True)
class View:
    """One input of the network.

    Attributes:
        image: Index of the image in its batch.
        image_size: (height, width) of that image.
        size: (height, width) of the input.
        affine: Original pixel -> input pixel, without rotation or mirroring.
        box: float32 (5,) x, y, width, height in original pixels and score of the person that it shows; for a view of
            the whole image, that of the image.
        whole: Whether it shows the whole image.
    """

    image: int
    image_size: Size
    size: Size
    affine: Affine
    box: npt.NDArray[np.float32]
    whole: bool

    def render(self, image: npt.NDArray[np.uint8], size: Size | None = None) -> npt.NDArray[np.uint8]:
        """Return the input (h, w, 3), or the same at another size, resampled once; black outside the image.

        Args:
            image: RGB uint8 (H, W, 3).
            size: (h, w) of the result; None for the view's.
        """
        if size is None or size == self.size:
            return warp_image(image, self.affine, self.size)
        resize = resizing(size[1] / self.size[1], size[0] / self.size[0])
        return warp_image(image, compose(resize, self.affine), size)

    def key(self, size: Size) -> tuple[bytes, Size]:
        """Return the key under which an input of this size is stored."""
        return self.affine.tobytes(), size

    @property
    def shown(self) -> Rectangle:
        """Input pixels whose centers lie on the image; for a sliver between centers the nearest one."""
        return _pixels_within(self.affine, self.image_size, self.size, at_least_one=True)

    @property
    def region(self) -> Rectangle:
        """Original pixels whose centers the input shows; empty if the view lies outside the image."""
        if self.whole:  # rounding must not take a border's pixels
            return Rectangle(*(slice(0, side) for side in self.image_size))
        return _pixels_within(invert(self.affine), self.size, self.image_size, at_least_one=False)


def whole_view(
    image: int, image_size: Size, size: Size, *, as_person: bool = False, view: ImageView = "letterbox"
) -> View:
    """Return the view of a whole image, with its aspect kept, or filling the input.

    Args:
        image: Index of the image.
        image_size: (height, width) of the image.
        size: (height, width) of the input.
        as_person: Whether to place it like the crop around a person who fills the image, which models of people expect
            (https://arxiv.org/abs/1911.07524), instead of like a whole image. They differ by less than a pixel.
        view: Of the model: `letterbox` or `stretch`; crops of people are never stretched.
    """
    height, width = image_size
    box = np.array([0, 0, width, height, 1], dtype=np.float32)
    affine = crop_affine(box[:4], size, padding=1.0) if as_person else fit_affine(image_size, size, view=view)
    return View(image, image_size, size, affine, box, whole=True)


def crop_view(
    image: int,
    image_size: Size,
    size: Size,
    box: npt.NDArray[np.float32],
    padding: float = BOX_PADDING,
) -> View:
    """Return the view of the crop around a box.

    Args:
        image: Index of the image.
        image_size: (height, width) of the image.
        size: (height, width) of the input.
        box: (5,) x, y, width, height in pixels and score.
        padding: Factor on the box's sides.
    """
    return View(image, image_size, size, crop_affine(box[:4], size, padding=padding), box, whole=False)


def _pixels_within(affine: Affine, source: Size, target: Size, *, at_least_one: bool) -> Rectangle:
    """Return the target pixels whose centers lie on the source image, by the affine from source to target."""
    height, width = source
    ends = apply_affine(affine, np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    (left, top), (right, bottom) = ends
    return Rectangle(
        _centres_between(top, bottom, target[0], at_least_one),
        _centres_between(left, right, target[1], at_least_one),
    )


def _centres_between(low: float, high: float, length: int, at_least_one: bool) -> slice:
    """Return the integers i with low <= i < high, from 0 to length - 1."""
    start, stop = max(0, math.ceil(low)), min(length, math.ceil(high))
    if start < stop:
        return slice(start, stop)
    if not at_least_one:
        return slice(0, 0)
    nearest = min(max(round((low + high) / 2), 0), length - 1)
    return slice(nearest, nearest + 1)
