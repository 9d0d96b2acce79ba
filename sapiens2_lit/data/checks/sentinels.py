"""Numbers that mean "nothing was measured" in files of depth and points."""

from typing import Any

import numpy as np
import numpy.typing as npt

# Largest numbers of formats that depth may pass through before the file: half floats and 16-bit integers, which
# keep their value when they are saved as 32-bit floats.
_FLOAT_SENTINELS = (65504.0, 65535.0)
_FARTHEST_FLOAT = 1e9  # renderers write 1e10, 1e11, 1e30 or the largest float where a ray hits nothing


def is_sentinel(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Find numbers of a file that are the largest of their format or beyond all distances (1e9 and above).

    Args:
        values: integers or floats of any shape; 8-bit types have no such number.
    """
    if values.dtype.kind in "iu":
        if values.dtype.itemsize == 1:
            return np.zeros(values.shape, dtype=bool)
        return np.asarray(values == np.iinfo(values.dtype).max)
    largest = float(np.finfo(values.dtype).max)  # 65504 for half floats, which hold no greater number
    if not _may_hold_sentinels(values):
        return np.zeros(values.shape, dtype=bool)
    found = np.abs(values) >= min(_FARTHEST_FLOAT, largest)
    for sentinel in _FLOAT_SENTINELS:
        if sentinel <= largest:
            found |= values == sentinel
    return np.asarray(found & np.isfinite(values))


def without_sentinels(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Remove sentinels from `valid`; both arrays have the same shape.

    Without a sentinel, the result is `valid` itself.
    """
    if values.dtype.kind == "f" and not _may_hold_sentinels(values):
        return valid
    return np.asarray(valid & ~is_sentinel(values))


def _may_hold_sentinels(floats: npt.NDArray[Any]) -> bool:
    """Whether there may be a sentinel, or NaN: two fast passes over the numbers, which seldom find one."""
    most = min(_FLOAT_SENTINELS[0], float(np.finfo(floats.dtype).max))
    return not (floats.min(initial=0) > -most and floats.max(initial=0) < most)
