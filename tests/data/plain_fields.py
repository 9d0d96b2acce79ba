"""Fields warped plainly: all of them at once, in floats, with weights beside them."""

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.transforms.geometric import (
    Affine,
    block_of,
    compose,
    resizing,
    rotation,
    scaling,
    translation,
)

SOURCE, SIZE = (150, 110), (96, 72)
KEEP = compose(translation(2.3, -1.7), scaling(0.64, 0.64))
AFFINES = {
    "fits": KEEP,
    "mirrored": compose(translation(70.0, 3.0), scaling(-0.6, 0.6)),
    "turned": compose(translation(30.0, -5.0), rotation(20), scaling(0.55, 0.55)),  # all of it is shown
    "shrunk": compose(translation(20.0, 30.0), scaling(0.3, 0.3)),
}


def reference(
    values: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], affine: Affine, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """(C, H, W): weights beside the values, everything divided by them. Three or four channels in all."""
    wide = np.zeros((*valid.shape, 4), np.float32)
    wide[valid, : values.shape[2]] = values[valid]
    wide[..., 3] = valid
    rows, columns = block_of(affine)
    wide = np.pad(wide, [(0, -wide.shape[0] % rows), (0, -wide.shape[1] % columns), (0, 0)], "edge")
    blocks = wide.reshape(wide.shape[0] // rows, rows, wide.shape[1] // columns, columns, 4)
    wide, affine = blocks.mean(axis=(1, 3)), compose(affine, resizing(columns, rows))
    warped = cv2.warpAffine(wide, affine, size[::-1], flags=cv2.INTER_LINEAR)
    share = warped[..., 3:]
    made = np.where(share >= 0.5, warped[..., : values.shape[2]] / np.where(share > 0, share, 1), np.nan)
    return made.astype(np.float32).transpose(2, 0, 1)


def blobs(seed: int) -> npt.NDArray[np.bool_]:
    random = np.random.default_rng(seed).random(SOURCE).astype(np.float32)
    return np.asarray(cv2.blur(random, (15, 15)) < 0.5)
