"""How sure a teacher was of its labels: what is not sure enough does not count, and the rest may weigh as much."""

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
    """What training makes of a teacher's confidence.

    Attributes:
        min: pixels and points of less confidence do not count: they are ignored, invalid or unlabelled.
        weight: the loss of every pixel and point is multiplied by its confidence.

    Raises:
        SettingError: `min` is not from 0 to 1.
    """

    min: float = 0.0
    weight: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min <= 1:
            raise SettingError(f"data.confidence.min is {self.min}, expected a number from 0 to 1.")

    def apply(self, warped: dict[str, Tensor]) -> dict[str, Tensor]:
        """Dense labels as `warp_rasters` gives them, without the pixels that are not sure enough.

        Of `confidence` (1, H, W) there come ignored classes, pixels that are not valid, alpha that is NaN, and with
        `weight` a `weight` (1, H, W) float32, 0 where nothing counts.
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
        """Keypoints (K, 3) of which those with scores (K,) that are too low are unlabelled."""
        return np.where((scores < self.min)[:, None], np.float32(0), points)


class ConfidenceFolder(RasterFolder):
    """Confidence of each pixel: png of one channel and 8 bits, 255 is 1.

    Args:
        root: the dataset's folder.
        label: the key of the label that it is about.

    Raises:
        DataError: the folder has none.
    """

    key = KEY
    suffixes = (".png",)

    def __init__(self, root: Path, label: str) -> None:
        folder = root / CONFIDENCES / label
        if not folder.is_dir():
            raise DataError(
                f"data.confidence is set, but {folder} is not there, which `sapiens2-lit predict --as_dataset` writes "
                "beside labels that a model has predicted: leave data.confidence out for other labels."
            )
        super().__init__(folder, "data.confidence")

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """(h, w) uint8."""
        path = self.path(stem)
        values = read_indices(path)
        check_shape(path, values, image, size, 1)
        return values

    def warp(self, label: npt.NDArray[Any], affine: Affine, size: tuple[int, int]) -> Tensor:
        """(1, H, W) float32, 0..1; 0 outside the image."""
        shares = label[..., None].astype(np.float32) / 255
        warped = torch.from_numpy(warp_planes(shares, None, affine, size))
        return torch.where(warped.isfinite(), warped, 0).clamp_(0, 1)
