"""Maps as numpy files: exactly what was predicted, NaN (255 for classes) where nothing is known."""

import io
from typing import Any, ClassVar

import numpy as np

from sapiens2_lit.inference.prediction import Array, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import Axes, BytesWriter, in_axes

VECTORS = ("normal", "pointmap")  # keys whose maps have a frame


class Npy(BytesWriter):
    """One array: float32 (H, W) or (H, W, C), uint8 (H, W) of classes.

    Args:
        axes: frame of vectors; nothing else has one.
    """

    name: ClassVar[str] = "npy"

    def __init__(self, head: str, key: str, axes: Axes = "opencv") -> None:
        super().__init__(head, key)
        self.axes = axes

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        file = io.BytesIO()
        np.save(file, self.values(prediction), allow_pickle=False)
        return file.getvalue()

    def values(self, prediction: Prediction) -> Array:
        values = self.map_of(prediction)
        return in_axes(values, self.axes) if self.key in VECTORS else values

    def about(self, prediction: Prediction) -> dict[str, Any]:
        values = self.map_of(prediction)
        unknown = "NaN" if np.issubdtype(values.dtype, np.floating) else 255
        return {
            "dtype": str(values.dtype),
            "unknown": unknown,
            **unit_of(prediction, self.head, self.key, self.axes),
        }


class Npz(Npy):
    """The same array, compressed, named after its key; of classes also their `names`."""

    name: ClassVar[str] = "npz"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        arrays: dict[str, Any] = {self.key: self.values(prediction)}
        info = prediction.heads.get(self.head)
        if self.key == "segmentation" and info is not None and info.classes is not None:
            arrays["names"] = np.array(info.classes.names)
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()


def unit_of(prediction: Prediction, head: str, key: str, axes: Axes) -> dict[str, Any]:
    """Unit and frame of a map's numbers, for those keys that this package knows."""
    info = prediction.heads.get(head)
    if key == "segmentation" and info is not None and info.classes is not None:
        return {"names": list(info.classes.names), "colors": [list(color) for color in info.classes.colors]}
    if key == "normal":
        return {"unit": "unit vectors", "frame": axes}
    if key == "pointmap":
        return {"unit": "metres", "frame": axes}
    if key == "depth":
        return {"unit": "0 nearest to 1 farthest" if info is not None and info.relative else "metres"}
    if key in ("albedo", "foreground"):
        return {"unit": "sRGB 0..1", "premultiplied": key == "foreground"}
    return {"unit": "share 0..1"} if key == "alpha" else {}
