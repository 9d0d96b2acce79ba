"""Write normals as pictures: PNG of 16 bits, and EXR."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import (
    Axes,
    BytesWriter,
    FileWriter,
    all_finite,
    encode_png,
    in_axes,
    to_integers,
)
from sapiens2_lit.inference.writers.exr import import_openexr, write_exr


class NormalPng(BytesWriter):
    """RGB of 16 bits, (n + 1) / 2 of 65535; black where unknown.

    Args:
        head: Name of the head.
        key: Of the map.
        axes: Frame of the file.
    """

    name: ClassVar[str] = "png"

    def __init__(self, head: str, key: str, axes: Axes = "opencv") -> None:
        super().__init__(head, key)
        self.axes = axes

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        normals = self.map_of(prediction)
        shares = in_axes(normals, self.axes)  # a copy
        shares += 1
        shares *= 0.5
        if not all_finite(shares):
            shares[~known(normals)] = 0
        return encode_png(to_integers(shares, np.uint16))

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"dtype": "uint16", "encoding": "(n + 1) / 2 * 65535", "unknown": 0, "frame": self.axes}


class NormalExr(FileWriter):
    """The vectors' x, y, z as channels R, G, B of 32-bit floats; NaN where unknown.

    Raises:
        SettingError: OpenEXR is not installed.
    """

    name: ClassVar[str] = "exr"

    def __init__(self, head: str, key: str, axes: Axes = "opencv") -> None:
        super().__init__(head, key)
        self.axes = axes
        import_openexr()

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        normals = in_axes(self.map_of(prediction), self.axes)
        write_exr(
            self.path(frame.name, folder), {"RGB": normals}, f"unit normals x, y, z; frame: {self.axes}"
        )

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"dtype": "float32", "channels": "R, G, B = x, y, z", "unknown": "NaN", "frame": self.axes}
