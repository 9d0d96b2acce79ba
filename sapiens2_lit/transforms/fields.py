"""How a map of numbers that counts only in places (depth, normals, albedo) follows an affine."""

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.transforms.geometric import Affine, reduce_first

# A pixel counts where at least half of what it is made of does, so that the edge of what counts stays in place.
_LEAST_SHARE = 0.5


def warp_field(
    values: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    affine: Affine,
    size: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """Resample a field once, by linear interpolation among the pixels that count.

    Args:
        values: (h, w, C), C at most 3; anything where not `valid`.
        valid: (h, w).
        affine: source pixel -> output pixel.
        size: (height, width) of the output.

    Returns:
        (H, W, C), NaN where less than half of the interpolated area counts.
    """
    height, width = size
    channels = values.shape[2]
    weighted = np.zeros((*valid.shape, channels + 1), dtype=np.float32)
    np.copyto(weighted[..., :channels], values, where=valid[..., None])
    weighted[..., channels] = valid
    weighted, affine = reduce_first(weighted, affine, size)
    warped = cv2.warpAffine(
        weighted, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    share = warped[..., channels:]
    counts = share >= _LEAST_SHARE
    return np.where(counts, warped[..., :channels] / np.where(counts, share, 1), np.float32(np.nan))
