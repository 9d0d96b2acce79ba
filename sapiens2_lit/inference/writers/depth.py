"""Write depth as pictures: PNG of 16 bits, and EXR."""

import logging
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.arrays import unit_of
from sapiens2_lit.inference.writers.base import BytesWriter, FileWriter, encode_png
from sapiens2_lit.inference.writers.exr import import_openexr, write_exr

MILLIMETRES = 0.001
_TOP = np.iinfo(np.uint16).max

_log = logging.getLogger(__name__)


class DepthPng(BytesWriter):
    """Gray of 16 bits: depth / unit, rounded, at least 1; 0 where unknown.

    Relative depth, 0..1, has the unit 1 / 65535. Depths beyond 65535 units are written as 65535, with a warning.

    Args:
        head: Name of the head.
        key: Of the map.
        unit: Meters of 1 in the file.

    Raises:
        SettingError: `unit` is not above 0.
    """

    name: ClassVar[str] = "png"

    def __init__(self, head: str, key: str, unit: float = MILLIMETRES) -> None:
        super().__init__(head, key)
        if not 0 < unit < float("inf"):
            raise SettingError(f"--depth_unit is {unit}, expected the meters of 1 in a png, such as 0.001")
        self.unit = unit
        self.warned = False

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        depth = self.map_of(prediction)
        unit = self.unit_in(prediction)
        units = np.rint(np.where(known(depth), depth, 0) / np.float64(unit))
        self._warn_of_far(units, unit, frame.name)
        return encode_png(np.where(known(depth), np.clip(units, 1, _TOP), 0).astype(np.uint16))

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"dtype": "uint16", "unit": self.unit_in(prediction), "unknown": 0}

    def unit_in(self, prediction: Prediction) -> float:
        """Return the meaning of 1 in the file: meters, or a share of the range of relative depth."""
        info = prediction.heads.get(self.head)
        return 1 / _TOP if info is not None and info.relative else self.unit

    def _warn_of_far(self, units: npt.NDArray[np.floating], unit: float, name: str) -> None:
        if not self.warned and (far := int((units > _TOP).sum())):
            self.warned = True
            _log.warning(
                "%s: %d pixels are farther than %g m, the most that a png with unit %g holds, and are written as that; "
                "give a larger --depth_unit, or write npy or exr. Other pictures are not mentioned.",
                *(name, far, _TOP * unit, unit),
            )


class DepthExr(FileWriter):
    """One channel Z of 32-bit floats, as predicted; NaN where unknown.

    Raises:
        SettingError: OpenEXR is not installed.
    """

    name: ClassVar[str] = "exr"

    def __init__(self, head: str, key: str) -> None:
        super().__init__(head, key)
        import_openexr()

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        write_exr(
            self.path(frame.name, folder), {"Z": self.map_of(prediction)}, f"depth, {self._unit(prediction)}"
        )

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"dtype": "float32", "channels": "Z", "unit": self._unit(prediction), "unknown": "NaN"}

    def _unit(self, prediction: Prediction) -> str:
        return str(unit_of(prediction, self.head, self.key, "opencv")["unit"])
