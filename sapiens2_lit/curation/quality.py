"""Measure how sharp and how well exposed a picture is."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

LONGER_SIDE = 512  # pixels at which pictures are measured, so that pictures of all sizes are comparable
_DARK, _BRIGHT = 2, 253

COLUMNS = {
    "sharpness": "double", "brightness": "double", "contrast": "double", "dark": "double", "bright": "double",
}  # fmt: skip


def quality(image: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Measure RGB uint8 (H, W, 3), shrunk to 512 pixels along its longer side if it is larger.

    `sharpness` is the variance of the Laplacian of gray values in 0..1, `brightness` and `contrast` are their mean and
    standard deviation, `dark` and `bright` the shares of pixels at the ends of the range (2 and less, 253 and more).
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = LONGER_SIDE / max(gray.shape)
    if scale < 1:
        size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
        gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA))
    light = gray.astype(np.float32) / 255
    return {
        "sharpness": float(cv2.Laplacian(light, cv2.CV_32F).var()),
        "brightness": float(light.mean()),
        "contrast": float(light.std()),
        "dark": float((gray <= _DARK).mean()),
        "bright": float((gray >= _BRIGHT).mean()),
    }
