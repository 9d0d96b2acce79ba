"""Albedo for Lightning: folders of images and albedo maps in, whole images out."""

from typing import Any

from sapiens2_lit.data.labels.base import LabelSource
from sapiens2_lit.data.labels.color import AlbedoFolder
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.transforms.dense import COLORLESS, ViewAugmentation


class AlbedoDataModule(DenseDataModule):
    """Whole images and their albedo, matched by file stem.

    Besides the keys of `DenseDataModule`, a batch holds
        albedo (B, 3, H, W) float32: sRGB in 0..1, color without light; 0 where not valid.
        valid (B, 1, H, W) bool: where the albedo is known.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        albedos: folder under `root` with a png (8 or 16 bits), npy or npz in 0..1 for each image; black is ignored.
        augment: random variation of training samples, but not of colors; null for none.
        shared: the settings of `DenseDataModule`.

    Raises:
        SettingError, DataError: a setting or file is wrong; the message says what was found and expected.
    """

    def __init__(
        self,
        root: str,
        image_size: tuple[int, int] = (1024, 768),
        *,
        albedos: str = "albedos",
        augment: ViewAugmentation | None = COLORLESS,
        **shared: Any,
    ) -> None:
        super().__init__(root, image_size, augment=augment, **shared)
        self.albedos = albedos

    def find_labels(self) -> list[LabelSource]:
        return [AlbedoFolder(self.root / self.albedos, self.find_valids())]
