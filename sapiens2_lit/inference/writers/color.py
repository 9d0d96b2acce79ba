"""Write maps of colors as pictures."""

from typing import Any, ClassVar

import numpy as np

from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import BytesWriter, encode_png, to_integers


class ColorPng(BytesWriter):
    """RGB of 8 bits, sRGB; black where unknown, so that the darkest known color is 1, 1, 1."""

    name: ClassVar[str] = "png"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        values = self.map_of(prediction)
        there = known(values)
        colors = to_integers(values, np.uint8)
        colors[there & ~colors.any(axis=2)] = 1
        colors[~there] = 0
        return encode_png(colors)

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"dtype": "uint8", "unit": "sRGB, 255 is 1", "unknown": 0}
