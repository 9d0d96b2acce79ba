"""Whole images with dense labels as training and evaluation samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sapiens2_lit.datamodules.images import read_image
from sapiens2_lit.datamodules.loading import Key, sample_generator
from sapiens2_lit.datamodules.rasters import RasterFolder, read_rasters, stem_of, warp_rasters
from sapiens2_lit.transforms.geometric import warp_image
from sapiens2_lit.transforms.segmentation import SegmentationAugmentation
from sapiens2_lit.transforms.whole_image import fit_affine


class DenseDataset(Dataset[dict[str, Any]]):
    """One image a sample, with a label of each kind.

    `dataset[(epoch, index)]` and `dataset[index]` (epoch 0) depend on nothing else than the arguments.

    Args:
        folder: what names are relative to.
        names: of the images.
        rasters: the labels that each of them has.
        image_size: (height, width) of the input.
        augment: random variation, or None: the whole image, as large as it fits.
        seed: what the variation depends on, besides epoch and index.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        rasters: Sequence[RasterFolder],
        image_size: tuple[int, int],
        *,
        augment: SegmentationAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.folder = folder
        self.names = np.array(names)  # not a list: worker processes would copy its strings one by one
        self.rasters = list(rasters)
        self.image_size = image_size
        self.augment = augment
        self.seed = seed
        self.augment_pixels = None if augment is None else augment.build_pixels()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor | str]:
        """A sample with the keys of the batch, unbatched.

        Raises:
            DataError: naming the image or the label that cannot be read.
        """
        epoch, index = key if isinstance(key, tuple) else (0, int(key))
        name = str(self.names[index])
        path = self.folder / name
        image = read_image(path)
        size = (image.shape[0], image.shape[1])
        labels = read_rasters(self.rasters, path, stem_of(name), size)

        rng = sample_generator(self.seed, epoch, index)
        if self.augment is None:
            affine = fit_affine(size, self.image_size)
        else:
            affine = self.augment.choose(size, self.image_size, labels, rng)
        pixels = warp_image(image, affine, self.image_size)
        if self.augment_pixels is not None:
            pixels = self.augment_pixels(pixels, rng)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            "affine": torch.tensor(affine, dtype=torch.float32),
            "sample": str(path),
            **warp_rasters(self.rasters, labels, affine, self.image_size),
        }
