"""Depth for Lightning: it reads folders of images and depth maps and gives whole images."""

from typing import Any

from sapiens2_lit.data.labels.base import LabelSource
from sapiens2_lit.data.labels.camera import find_cameras
from sapiens2_lit.data.labels.depth import DepthFolder, check_unit
from sapiens2_lit.data.pseudo.origin import expect_as_written
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.dense import RELEASED, DenseAugmentation


class DepthDataModule(DenseDataModule):
    """Whole images and their depth, matched by file stem.

    Besides the keys of `DenseDataModule`, a batch holds
        depth (B, 1, H, W) float32: along z, in meters, or in the files' unit if `relative`; 0 where not valid.
        valid (B, 1, H, W) bool: where the depth is known.
        intrinsics (B, 3, 3) float32, with `cameras` or `field_of_view`: of the image as the network sees it.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        depths: folder under `root` with npy, npz, png of 16 bits, or exr for each image; 0, NaN and infinity are
            ignored.
        unit: meters of one unit of the files, such as 0.001 for millimeters. Null: 1 for floats; integers need a unit.
        relative: whether the depth has an unknown scale, in any unit, above 0; larger is still farther. The head has
            the same setting.
        cameras: folder under `root` with intrinsics for each image or folder of images (json, txt), or one such file
            for all; null for none.
        field_of_view: degrees across the longer side of every image, instead of `cameras`.
        augment: random variation of training samples; null for none.
        shared: the settings of `DenseDataModule`.

    Raises:
        SettingError, DataError: a setting or file is wrong; the message says what was found and expected.
    """

    def __init__(
        self,
        root: str,
        image_size: tuple[int, int] = (1024, 768),
        *,
        depths: str = "depths",
        unit: float | None = None,
        relative: bool = False,
        cameras: str | None = None,
        field_of_view: float | None = None,
        augment: DenseAugmentation | None = RELEASED,
        **shared: Any,
    ) -> None:
        super().__init__(root, image_size, augment=augment, **shared)
        check_unit(unit)
        if relative and unit is not None:
            raise SettingError(
                f"data.unit is {unit}, which has no effect with data.relative: set one of them."
            )
        self.depths = depths
        self.unit = unit
        self.relative = relative
        self.cameras = cameras
        self.field_of_view = field_of_view

    def find_labels(self) -> list[LabelSource]:
        expect_as_written(self.root, "depth", unit=self.unit, relative=self.relative)
        cameras = find_cameras(self.root, self.cameras, self.field_of_view)
        folder, valids = self.root / self.depths, self.find_valids()
        depths = DepthFolder(folder, self.unit, relative=self.relative, valids=valids)
        return [depths] if cameras is None else [depths, cameras]
