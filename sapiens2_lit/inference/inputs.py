"""Check what users pass in: images of several kinds, and boxes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import DataError, SettingError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

RGB = npt.NDArray[np.uint8]
Image = Union[RGB, str, Path, "PILImage"]
Boxes = npt.ArrayLike | None
LONGEST_SIDE = 32766  # pixels; OpenCV resamples no larger images


def read(image: Image, place: int = 0) -> RGB:
    """Return an image as RGB uint8 (H, W, 3).

    Args:
        image: RGB uint8 (H, W, 3); a PIL image, which is turned upright by its EXIF orientation; or a path.
        place: Index among the given images, for messages.

    Raises:
        DataError: It is of another kind or shape, or cannot be read.
    """
    if isinstance(image, str | Path):
        from sapiens2_lit.data.readers.images import read_image

        return check(read_image(image), str(image))
    if isinstance(image, np.ndarray):
        return check(image, f"image {place}")
    from PIL import Image as pillow
    from PIL import ImageOps

    if isinstance(image, pillow.Image):
        return check(np.asarray(ImageOps.exif_transpose(image).convert("RGB")), f"image {place}")
    raise DataError(
        f"image {place}: found {type(image).__name__}, expected RGB uint8 (H, W, 3), a PIL image or a path."
    )


def check(image: npt.NDArray[np.generic], name: str) -> RGB:
    """Return the array if it is an image (H, W, 3) that can be predicted on.

    Args:
        image: RGB uint8 (H, W, 3).
        name: For messages.

    Raises:
        DataError: It has another type or shape, no pixels, or a side that is too long to resample.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(
            f"{name}: found {image.dtype} {image.shape}, expected RGB as uint8 (height, width, 3)."
        )
    if not 0 < min(image.shape[:2]) <= max(image.shape[:2]) <= LONGEST_SIDE:
        raise DataError(
            f"{name}: found {image.shape[1]} x {image.shape[0]} pixels (width x height), expected sides from 1 to "
            f"{LONGEST_SIDE}."
        )
    return np.asarray(image, dtype=np.uint8)


def check_boxes(boxes: npt.ArrayLike, name: str) -> npt.NDArray[np.float32]:
    """Return boxes as float32 (N, 5): x, y, width, height in pixels and score, which is 1 if not given.

    Args:
        boxes: (N, 4) or (N, 5).
        name: For messages.

    Raises:
        DataError: They have another shape, or a box is not finite or has no area.
    """
    try:
        found = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected boxes x, y, width, height (and score); {error}.") from error
    if found.size == 0:
        return np.zeros((0, 5), dtype=np.float32)
    if found.ndim != 2 or found.shape[1] not in (4, 5):
        raise DataError(
            f"{name}: boxes have the shape {found.shape}, expected (N, 4) x, y, width, height in pixels, or (N, 5) "
            "with a score."
        )
    if found.shape[1] == 4:
        found = np.concatenate([found, np.ones((len(found), 1), dtype=np.float32)], axis=1)
    for index, box in enumerate(found):
        if not np.isfinite(box).all() or min(box[2:4]) <= 0:
            raise DataError(
                f"{name}: box {index} is {box[:4].tolist()}, expected finite x, y, and width and height above 0."
            )
    return found


def per_image(boxes: Boxes | Sequence[Boxes], count: int) -> list[Boxes]:
    """Return one entry of boxes for each image.

    Raises:
        SettingError: There are more or fewer entries than images.
    """
    if boxes is None:
        return [None] * count
    given = list(boxes)  # type: ignore[arg-type]  # an array-like that holds boxes of several images
    if len(given) != count:
        raise SettingError(
            f"boxes: found boxes of {len(given)} images, expected {count}: an entry for each, None for the whole image."
        )
    return given
