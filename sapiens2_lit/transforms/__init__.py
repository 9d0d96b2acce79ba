"""Augmentation: one warp for the image and every label, and pixels."""

from sapiens2_lit.transforms.crop import CropAugmentation, CropVariation, crop_affine
from sapiens2_lit.transforms.dense import DenseAugmentation, ViewAugmentation
from sapiens2_lit.transforms.fields import warp_field
from sapiens2_lit.transforms.geometric import (
    apply_affine,
    compose,
    invert,
    warp_image,
    warp_labels,
    warp_points,
)
from sapiens2_lit.transforms.photometric import PhotometricAugmentation
from sapiens2_lit.transforms.pose import PoseAugmentation

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
