"""The result of generating one scene: an image and all its labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FIELDS_OF_VIEW = (18.0, 75.0)  # degrees: the default least and greatest vertical field of view
ANGLES = (1, 150)  # degrees that a field of view may have
MOST_PEOPLE = 20  # in a picture; `Frame.instance` has room for 255, but time and memory for fewer


@dataclass(frozen=True)
class PersonLabels:
    """Labels of one person of the image.

    Attributes:
        keypoints: by vocabulary (coco17, coco_wholebody133, sociopticon308), (K, 3) float64: x, y in pixels and v:
            2 visible, 1 occluded, 0 (with x = y = 0) outside the image.
        box: (4,) float64 x, y, w, h of the person's pixels, in pixels; pixel i covers i - 0.5 to i + 0.5.
        area: number of the person's pixels.
        number: the person's value in `Frame.instance`, from 1.
    """

    keypoints: dict[str, npt.NDArray[np.float64]]
    box: npt.NDArray[np.float64]
    area: int
    number: int


@dataclass(frozen=True)
class Frame:
    """An image (H, W) of people with exact labels; the camera frame is x right, y down, z forward, in meters.

    Attributes:
        image: (H, W, 3) uint8 sRGB.
        segmentation: (H, W) uint8, one of the 29 classes, 0 background.
        instance: (H, W) uint8, 0 background, then the people by number.
        normal: (H, W, 3) float32 unit vectors toward the camera; 0 where not `valid`.
        pointmap: (H, W, 3) float32 meters; 0 where not `valid`.
        depth: (H, W) float32 meters, the point map's z.
        albedo: (H, W, 3) float32 sRGB in 0..1; 0 where not `valid`.
        alpha: (H, W) float32, the people's share of each pixel; at least 0.5 exactly where `valid`.
        foreground: (H, W, 3) float32 sRGB in 0..1, premultiplied: image = foreground + (1 - alpha) background.
        valid: (H, W) bool: a person is visible at the pixel's center.
        intrinsics: (3, 3) float64; pixel centers are integers.
        people: the people with at least one visible pixel.
    """

    image: npt.NDArray[np.uint8]
    segmentation: npt.NDArray[np.uint8]
    instance: npt.NDArray[np.uint8]
    normal: npt.NDArray[np.float32]
    pointmap: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]
    albedo: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32]
    foreground: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    intrinsics: npt.NDArray[np.float64]
    people: list[PersonLabels]
