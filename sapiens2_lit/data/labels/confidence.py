"""A teacher's confidence in its labels: uncertain labels are ignored, and the others may be weighted by it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.data.labels.base import RasterFolder, read_indices
from sapiens2_lit.data.labels.field import check_shape
from sapiens2_lit.data.pseudo.origin import CONFIDENCES
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.fields import warp_planes, zero_planes
from sapiens2_lit.transforms.geometric import Affine
from sapiens2_lit.vocabularies import IGNORED

KEY = "confidence"


@dataclass(frozen=True)
class Confidence:
    """How training uses a teacher's confidence.

    Attributes:
        min: pixels and points with less confidence are ignored, invalid or unlabeled.
        weight: whether the loss of every pixel and point is multiplied by its confidence.

    Raises:
        SettingError: `min` is not from 0 to 1.
    """

    min: float = 0.0
    weight: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min <= 1:
            raise SettingError(f"data.confidence.min is {self.min}, expected a number from 0 to 1.")

    def apply(self, warped: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return dense labels from `warp_rasters` without the pixels of too little confidence.

        `confidence` (1, H, W) turns such pixels into ignored classes, invalid pixels, or alpha of NaN. With `weight`
        there is also a `weight` (1, H, W) float32, 0 for ignored pixels.
        """
        confidence = warped[KEY]
        sure = confidence >= self.min
        found = {key: value for key, value in warped.items() if key != KEY}
        if "segmentation" in found:
            found["segmentation"] = found["segmentation"].masked_fill(~sure[0], IGNORED)
        if "alpha" in found:
            found["alpha"] = found["alpha"].masked_fill(~sure, torch.nan)
        if "valid" in found:
            found["valid"] = found["valid"] & sure
            counts = found["valid"].numpy()[0]
            for value in found.values():
                if value.ndim == 3 and value.is_floating_point() and value.shape[1:] == counts.shape:
                    zero_planes(value.numpy(), counts)
        if self.weight:
            found["weight"] = torch.where(sure, confidence, 0)
        return found

    def of_points(
        self, points: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return keypoints (K, 3), unlabeled where their scores (K,) are too low."""
        return np.where((scores < self.min)[:, None], np.float32(0), points)


class ConfidenceFolder(RasterFolder):
    """Confidence of each pixel: png of one channel and 8 bits, 255 is 1.

    Args:
        root: the dataset's folder.
        label: key of the label that it belongs to.

    Raises:
        DataError: the folder has no such files.
    """

    key = KEY
    suffixes = (".png",)

    def __init__(self, root: Path, label: str) -> None:
        folder = root / CONFIDENCES / label
        if not folder.is_dir():
            raise DataError(
                f"data.confidence is set, but {folder} does not exist; `sapiens2-lit predict --as_dataset` writes it "
                "beside predicted labels: leave data.confidence out for other labels."
            )
        super().__init__(folder, "data.confidence")

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Return the confidence (h, w) uint8."""
        path = self.path(stem)
        values = read_indices(path)
        check_shape(path, values, image, size, 1)
        return values

    def warp(self, label: npt.NDArray[Any], affine: Affine, size: tuple[int, int]) -> Tensor:
        """Return the confidence (1, H, W) float32, 0..1; 0 outside the image."""
        shares = label[..., None].astype(np.float32) / 255
        warped = torch.from_numpy(warp_planes(shares, None, affine, size))
        return torch.where(warped.isfinite(), warped, 0).clamp_(0, 1)
