"""Write point maps as clouds, and the camera that took them."""

import json
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import Axes, BytesWriter, in_axes

_VERTEX = np.dtype([("position", "<f4", 3), ("color", "u1", 3)])


class PointsPly(BytesWriter):
    """PLY, binary, little endian: a vertex for each pixel whose point is known, row by row, in the image's color.

    x, y, z are floats in meters; red, green, blue are bytes.

    Args:
        head: Name of the head.
        key: Of the map.
        axes: Frame of the file.
    """

    name: ClassVar[str] = "ply"

    def __init__(self, head: str, key: str, axes: Axes = "opencv") -> None:
        super().__init__(head, key)
        self.axes = axes

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        points = self.map_of(prediction)
        there = known(points)
        vertices = np.empty(int(there.sum()), dtype=_VERTEX)
        vertices["position"] = in_axes(points[there], self.axes)
        vertices["color"] = frame.image[there]
        header = (
            "ply\n",
            "format binary_little_endian 1.0\n",
            f"comment metres, frame {self.axes}\n",
            f"element vertex {len(vertices)}\n",
            *(f"property float {axis}\n" for axis in "xyz"),
            *(f"property uchar {channel}\n" for channel in ("red", "green", "blue")),
            "end_header\n",
        )
        return "".join(header).encode("ascii") + vertices.tobytes()

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"dtype": "float32", "unit": "metres", "unknown": "left out", "frame": self.axes}


class CameraJson(BytesWriter):
    """The camera of predicted points: `intrinsics` 3 x 3 in pixels of the image, `width` and `height`.

    Pixels are square, and the principal point is the image's center. If the points do not tell the focal length, it is
    null, and so are the intrinsics.
    """

    name: ClassVar[str] = "json"
    kind: ClassVar[str | None] = "camera"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        height, width = prediction.image_size
        focal = prediction.focal
        known_focal = None if focal is None or not np.isfinite(focal) else float(focal)
        camera = {
            "width": width,
            "height": height,
            "focal": known_focal,
            "intrinsics": None if known_focal is None else intrinsics(known_focal, width, height).tolist(),
        }
        return json.dumps(camera).encode()

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"unit": "pixels of the image, whose centres are integers", "unknown": None}


def intrinsics(focal: float, width: int, height: int) -> npt.NDArray[np.float64]:
    """Return intrinsics (3, 3) of square pixels with the principal point at the image's center.

    Args:
        focal: Focal length in pixels.
        width: Of the image.
        height: Of the image.
    """
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
