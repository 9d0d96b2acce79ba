"""Surface normals for Lightning: it reads folders of images and normals and gives whole images."""

from typing import Any

from sapiens2_lit.data.labels.base import LabelSource
from sapiens2_lit.data.labels.camera import find_cameras
from sapiens2_lit.data.labels.frames import Frame
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.pseudo.origin import expect_as_written
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.transforms.dense import RELEASED, DenseAugmentation


class NormalDataModule(DenseDataModule):
    """Whole images and their surface normals, matched by file stem.

    Besides the keys of `DenseDataModule`, a batch holds
        normal (B, 3, H, W) float32: unit vectors toward the camera, x right, y down, z forward; 0 where not valid.
        valid (B, 1, H, W) bool: where the normal is known.
        intrinsics (B, 3, 3) float32, with `cameras` or `field_of_view`: of the image as the network sees it.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        normals: folder under `root` with npy, npz, exr or png (n + 1) / 2 of 8 or 16 bits for each image.
        frame: coordinate axes of the files: `opencv` (x right, y down, z forward), `opengl` (y up, z toward the
            viewer), `directx` (y up, z forward), `directx_normals` (y down, z toward the viewer), `pytorch3d` (x left,
            y up, z forward); or world axes, with extrinsics in the files of `cameras`: `blender`, `unreal`, `colmap`,
            `nerf`.
        cameras: folder under `root` with intrinsics for each image or folder of images (json, txt), or one such file
            for all; null for none: pixels are then taken to be square, which matters only to rotated views.
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
        normals: str = "normals",
        frame: Frame = "opencv",
        cameras: str | None = None,
        field_of_view: float | None = None,
        augment: DenseAugmentation | None = RELEASED,
        **shared: Any,
    ) -> None:
        super().__init__(root, image_size, augment=augment, **shared)
        self.normals = normals
        self.frame = frame
        self.cameras = cameras
        self.field_of_view = field_of_view

    def find_labels(self) -> list[LabelSource]:
        expect_as_written(self.root, "normal", frame=self.frame)
        cameras = find_cameras(self.root, self.cameras, self.field_of_view)
        normals = NormalFolder(self.root / self.normals, self.frame, self.find_valids(), cameras=cameras)
        return [normals] if cameras is None else [normals, cameras]
