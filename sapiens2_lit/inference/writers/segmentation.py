"""Write classes as pictures."""

import io
from typing import Any, ClassVar

from PIL import Image

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.arrays import unit_of
from sapiens2_lit.inference.writers.base import BytesWriter


class MaskPng(BytesWriter):
    """One channel of 8 bits, each value a class, 255 where unknown, with the classes' colors as palette.

    Viewers show the colors; readers of the indices get the classes.
    """

    name: ClassVar[str] = "png"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        info = prediction.heads.get(self.head)
        if info is None or info.classes is None:
            raise SettingError(f"--formats png: the head `{self.head}` has no names of its classes")
        picture = Image.fromarray(self.map_of(prediction))
        picture.putpalette(info.classes.palette().tobytes(), "RGB")
        file = io.BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"dtype": "uint8", "unknown": 255, **unit_of(prediction, self.head, self.key, "opencv")}
