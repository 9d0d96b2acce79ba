"""Write dense labels, one file for each picture, as training reads them: DIR/FOLDER/NAME.SUFFIX."""

import io
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.pseudo.origin import CONFIDENCES
from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import BytesWriter, encode_png, to_integers
from sapiens2_lit.inference.writers.color import ColorPng
from sapiens2_lit.inference.writers.normals import NormalPng
from sapiens2_lit.inference.writers.points import intrinsics

_FARTHEST = 60_000.0  # half floats can hold it, and it is less than the numbers that stand for no depth


class LabelFile(BytesWriter):
    """A label of one picture, in a folder of its kind.

    Attributes:
        folder: Name below the dataset's folder.
    """

    frames = False
    folder: ClassVar[str]

    def path(self, name: str, folder: Path) -> Path:
        """Return the path of a picture's label."""
        return folder / self.folder / f"{name}.{self.name}"

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {}


class Masks(LabelFile):
    """PNG of 8 bits with the class of each pixel, 255 where unknown."""

    name = "png"
    folder = "masks"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        return encode_png(self.map_of(prediction))


class Normals(LabelFile, NormalPng):
    """PNG of 16 bits, (n + 1) / 2, in OpenCV's frame; black where unknown."""

    folder = "normals"


class Albedos(LabelFile, ColorPng):
    """PNG of 8 bits, sRGB; black where unknown."""

    folder = "albedos"


class Alphas(LabelFile):
    """PNG of 8 bits; 0 where unknown."""

    name = "png"
    folder = "alphas"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        return encode_png(to_integers(self.map_of(prediction)[..., 0], np.uint8))


class Foregrounds(LabelFile):
    """PNG of 8 bits, premultiplied sRGB, nowhere brighter than alpha."""

    name = "png"
    folder = "foregrounds"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        alpha = to_integers(prediction.maps[self.head]["alpha"], np.uint8)
        return encode_png(np.minimum(to_integers(self.map_of(prediction), np.uint8), alpha))


class Depths(LabelFile):
    """Npy of half floats in meters, or in the head's relative unit; 0 where unknown."""

    name = "npy"
    folder = "depths"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        return to_npy(depth_of(self.map_of(prediction)))


class Pointmaps(LabelFile):
    """Npy of half floats in meters: the predicted z on the rays of the predicted camera; 0 where unknown.

    Training uses only z and the camera of a point map, and requires points on the camera's rays, where predictions lie
    only nearly.
    """

    name = "npy"
    folder = "pointmaps"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        depth = depth_of(self.map_of(prediction)[..., 2])
        camera = camera_of(prediction)
        if camera is None:
            return to_npy(np.zeros((*depth.shape, 3), np.float32))
        height, width = depth.shape
        x = (np.arange(width) - camera[0, 2]) / camera[0, 0]
        y = (np.arange(height) - camera[1, 2]) / camera[1, 1]
        return to_npy(np.stack([x[None, :] * depth, y[:, None] * depth, depth], axis=2))


class Cameras(LabelFile):
    """JSON: `intrinsics` with the predicted focal length, `width` and `height` of the picture.

    If the points do not tell the focal length, it is the picture's longer side, and no point is known.
    """

    name = "json"
    folder = "cameras"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        height, width = prediction.image_size
        camera = camera_of(prediction)
        camera = intrinsics(float(max(height, width)), width, height) if camera is None else camera
        return json.dumps({"width": width, "height": height, "intrinsics": camera.tolist()}).encode()


class ConfidenceMaps(LabelFile):
    """PNG of 8 bits: how sure the head is of each pixel, 255 means 1; 0 where unknown."""

    name = "png"

    def path(self, name: str, folder: Path) -> Path:
        """Return the path of a picture's confidence map."""
        return folder / CONFIDENCES / self.key / f"{name}.png"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        return encode_png(to_integers(confidence_map(prediction, self.head, self.key), np.uint8))


def confidence_map(prediction: Prediction, head: str, key: str) -> npt.NDArray[np.float32]:
    """Return the confidence of a label (H, W), 0..1; 0 where the label is unknown.

    Args:
        prediction: Of one picture.
        head: Name of the head.
        key: Of the label.
    """
    values = prediction.maps[head][key]
    there = known(values)
    if key == "pointmap":
        there &= depth_of(values[..., 2]) > 0
    if head not in prediction.confidences:
        return np.zeros(prediction.image_size, np.float32)  # no crop was predicted on
    found = prediction.confidences[head]
    return np.where(there & np.isfinite(found), found, 0).astype(np.float32)


def camera_of(prediction: Prediction) -> npt.NDArray[np.float64] | None:
    """Return the intrinsics (3, 3) of the camera of predicted points; None if they do not tell."""
    focal = prediction.focal
    if focal is None or not np.isfinite(focal) or focal <= 0:
        return None
    height, width = prediction.image_size
    return intrinsics(float(focal), width, height)


def depth_of(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return depth (H, W) that can be a label: 0 where it is unknown, behind the camera, or too far."""
    with np.errstate(invalid="ignore"):
        return np.where((values > 0) & (values < _FARTHEST), values, 0).astype(np.float32)


def to_npy(values: npt.NDArray[np.floating]) -> bytes:
    """Return the contents of an npy of half floats, of the same shape."""
    file = io.BytesIO()
    with np.errstate(over="ignore"):
        np.save(file, values.astype(np.float16), allow_pickle=False)
    return file.getvalue()


# The files of each label.
MAP_WRITERS: dict[str, tuple[tuple[str, type[LabelFile]], ...]] = {
    "segmentation": (("segmentation", Masks),),
    "normal": (("normal", Normals),),
    "depth": (("depth", Depths),),
    "pointmap": (("pointmap", Pointmaps), ("pointmap", Cameras)),
    "albedo": (("albedo", Albedos),),
    "alpha": (("alpha", Alphas), ("foreground", Foregrounds)),
}
