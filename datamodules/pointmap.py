"""Point maps for Lightning: it reads images, points or depth, and cameras and gives whole images."""

from typing import Any

from sapiens2_lit.data.labels.base import LabelSource
from sapiens2_lit.data.labels.camera import find_cameras
from sapiens2_lit.data.labels.depth import PointmapFolder, UnprojectedFolder, check_unit
from sapiens2_lit.data.labels.frames import Frame
from sapiens2_lit.data.pseudo.origin import expect_as_written
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.dense import RELEASED_POINTMAP, DenseAugmentation

_CAMERAS = "cameras"  # the default folder


class PointmapDataModule(DenseDataModule):
    """Whole images, their point maps and cameras, matched by file stem.

    Besides the keys of `DenseDataModule`, a batch holds
        pointmap (B, 3, H, W) float32: meters, x right, y down, z forward, on the rays of `intrinsics`; 0 where not
        valid.
        valid (B, 1, H, W) bool: where the point is known.
        intrinsics (B, 3, 3) float32: of the image as the network sees it.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        pointmaps: folder under `root` with npy, npz or exr for each image; null to use `depths`.
        depths: folder under `root` with depth along z instead of points: npy, npz, png of 16 bits, or exr.
        frame: coordinate axes of the point maps: `opencv` (x right, y down, z forward), `opengl` (y up, z toward the
            viewer), `directx` (y up, z forward), `pytorch3d` (x left, y up, z forward); or world axes, with extrinsics
            in the files of `cameras`, in the unit of the points: `blender`, `unreal`, `colmap`, `nerf`.
        unit: meters of one unit of the files, such as 0.001 for millimeters. Null: 0.01 for `unreal`, 1 for other
            floats; integers need a unit.
        cameras: folder under `root` with intrinsics for each image or folder of images (json, txt), or one such file
            for all. Null: the folder `cameras`, unless `field_of_view` is set.
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
        pointmaps: str | None = "pointmaps",
        depths: str | None = None,
        frame: Frame = "opencv",
        unit: float | None = None,
        cameras: str | None = None,
        field_of_view: float | None = None,
        augment: DenseAugmentation | None = RELEASED_POINTMAP,
        **shared: Any,
    ) -> None:
        super().__init__(root, image_size, augment=augment, **shared)
        check_unit(unit)
        if (pointmaps is None) == (depths is None):
            raise SettingError(
                f"data.pointmaps is {pointmaps!r} and data.depths {depths!r}: set one of them to a folder, the other "
                "to null."
            )
        self.pointmaps = pointmaps
        self.depths = depths
        self.frame = frame
        self.unit = unit
        self.cameras = cameras
        self.field_of_view = field_of_view

    def check_view(self) -> None:
        super().check_view()
        if self.view == "stretch":
            raise SettingError(
                "data.view is stretch, but point maps have one focal length and need square pixels: expected letterbox."
            )

    def find_labels(self) -> list[LabelSource]:
        expect_as_written(self.root, "pointmap", frame=self.frame, unit=self.unit)
        place = _CAMERAS if self.cameras is None and self.field_of_view is None else self.cameras
        cameras = find_cameras(self.root, place, self.field_of_view)
        assert cameras is not None
        valids = self.find_valids()
        if self.depths is not None:
            return [UnprojectedFolder(self.root / self.depths, self.unit, valids=valids), cameras]
        assert self.pointmaps is not None
        return [PointmapFolder(self.root / self.pointmaps, cameras, self.frame, self.unit, valids), cameras]
