"""Keep memory that a process frees for its next arrays."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h
_KEPT = 1 << 30  # bytes


def keep_freed_memory() -> None:
    """Make this process keep the memory that it frees, if the C library is glibc.

    Otherwise arrays of megabytes go back to the system after each use, and the pages of the next one are zeroed again:
    half of the time of a sample of 4096 x 3072.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _KEPT)
