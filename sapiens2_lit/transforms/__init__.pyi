from .crop import CropAugmentation, CropVariation, crop_affine
from .dense import DenseAugmentation, ViewAugmentation
from .fields import warp_field
from .geometric import (
    apply_affine,
    compose,
    invert,
    warp_image,
    warp_labels,
    warp_points,
)
from .photometric import PhotometricAugmentation
from .pose import PoseAugmentation

__all__ = [
    "CropAugmentation",
    "CropVariation",
    "DenseAugmentation",
    "PhotometricAugmentation",
    "PoseAugmentation",
    "ViewAugmentation",
    "apply_affine",
    "compose",
    "crop_affine",
    "invert",
    "warp_field",
    "warp_image",
    "warp_labels",
    "warp_points",
]
