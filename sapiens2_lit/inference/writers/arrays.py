"""Write maps as numpy files: exactly what was predicted, NaN (255 for classes) where unknown."""

import io
from typing import Any, ClassVar

import numpy as np

from sapiens2_lit.inference.prediction import Array, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import Axes, BytesWriter, in_axes
from sapiens2_lit.vocabularies.tasks import map_kind


class Npy(BytesWriter):
    """One array: float32 (H, W) or (H, W, C), uint8 (H, W) for classes.

    Args:
        head: Name of the head.
        key: Of the map.
        axes: Frame of vectors; other maps have none.
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
        """Return the map, vectors in the chosen frame."""
        values = self.map_of(prediction)
        kind = map_kind(self.key)
        return in_axes(values, self.axes) if kind is not None and kind.is_vector else values

    def about(self, prediction: Prediction) -> dict[str, Any]:
        values = self.map_of(prediction)
        unknown = "NaN" if np.issubdtype(values.dtype, np.floating) else 255
        return {
            "dtype": str(values.dtype),
            "unknown": unknown,
            **unit_of(prediction, self.head, self.key, self.axes),
        }


class Npz(Npy):
    """The same array, compressed, named after its key; for classes also their `names`."""

    name: ClassVar[str] = "npz"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        arrays: dict[str, Any] = {self.key: self.values(prediction)}
        about = unit_of(prediction, self.head, self.key, self.axes)
        if "names" in about:
            arrays["names"] = np.array(about["names"])
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()


def unit_of(prediction: Prediction, head: str, key: str, axes: Axes) -> dict[str, Any]:
    """Return unit and frame of a map's numbers, for keys that this package knows.

    Args:
        prediction: Of one picture.
        head: Name of the head.
        key: Of the map.
        axes: Frame of vectors.
    """
    info, kind = prediction.heads.get(head), map_kind(key)
    if kind is None:
        return {}
    if kind.values == "classes":
        if info is None or info.classes is None:
            return {}
        return {"names": list(info.classes.names), "colors": [list(color) for color in info.classes.colors]}
    about: dict[str, Any] = {"unit": kind.unit_of(info is not None and info.relative)}
    if kind.is_vector:
        about["frame"] = axes
    if kind.values in ("color", "premultiplied color"):
        about["premultiplied"] = kind.values != "color"
    return about
