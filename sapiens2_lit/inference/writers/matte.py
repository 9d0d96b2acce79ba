"""Write cut-outs: people in front of nothing."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import BytesWriter, encode_png, to_integers


class MattePng(BytesWriter):
    """RGBA of 8 bits with straight alpha: the person's color, sRGB, not multiplied by alpha, as PNG demands.

    Alpha is 0 where unknown. A head without foreground uses the image's colors.
    """

    name: ClassVar[str] = "png"
    kind: ClassVar[str | None] = "matte"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        maps = prediction.maps[self.head]
        alpha = to_integers(maps["alpha"], np.uint8)
        if "foreground" in maps:
            colors = to_integers(straight(maps["foreground"], maps["alpha"]), np.uint8)
        else:
            colors = frame.image
        return encode_png(np.concatenate([colors, alpha], axis=2))

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {
            "dtype": "uint8",
            "unit": "sRGB and alpha, 255 is 1",
            "premultiplied": False,
            "unknown": "alpha 0",
        }


def straight(
    foreground: npt.NDArray[np.floating], alpha: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Return colors (H, W, 3) in 0..1 whose product with alpha is the premultiplied foreground; 0 where alpha is 0.

    A foreground brighter than its alpha has no such color, and gets the brightest.

    Args:
        foreground: (H, W, 3).
        alpha: (H, W, 1).
    """
    seen = np.isfinite(alpha) & (alpha > 0)
    colors = np.where(seen, foreground, 0) / np.where(seen, alpha, 1)
    return np.clip(colors, 0, 1).astype(np.float32)
