"""Numbers that stand for "nothing was measured" in files of depth and points."""

from typing import Any

import numpy as np
import numpy.typing as npt

# Largest numbers of formats that depth passes through on its way to a file: half floats and integers of 16 bits, which
# stay the same numbers when they are saved as floats of 32 bits.
_FLOAT_SENTINELS = (65504.0, 65535.0)
_FARTHEST_FLOAT = 1e9  # renderers write 1e10, 1e11, 1e30 or the largest float where a ray meets nothing


def is_sentinel(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where numbers, as a file holds them, are the largest of their format or beyond all distances (1e9 and above).

    Args:
        values: integers or floats of any shape; 8 bits have no such number.
    """
    if values.dtype.kind in "iu":
        if values.dtype.itemsize == 1:
            return np.zeros(values.shape, dtype=bool)
        return np.asarray(values == np.iinfo(values.dtype).max)
    largest = float(np.finfo(values.dtype).max)  # 65504 of half floats, which hold no greater number
    if not _may_hold_sentinels(values):
        return np.zeros(values.shape, dtype=bool)
    found = np.abs(values) >= min(_FARTHEST_FLOAT, largest)
    for sentinel in _FLOAT_SENTINELS:
        if sentinel <= largest:
            found |= values == sentinel
    return np.asarray(found & np.isfinite(values))


def without_sentinels(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Where numbers count of which `valid` says so and that are no sentinels; `valid` itself where none is one."""
    if values.dtype.kind == "f" and not _may_hold_sentinels(values):
        return valid
    return np.asarray(valid & ~is_sentinel(values))


def _may_hold_sentinels(floats: npt.NDArray[Any]) -> bool:
    """Whether a number is so large, or none at all: two looks at all of them, and seldom so."""
    most = min(_FLOAT_SENTINELS[0], float(np.finfo(floats.dtype).max))
    return not (floats.min(initial=0) > -most and floats.max(initial=0) < most)
