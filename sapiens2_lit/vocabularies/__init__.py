"""Vocabularies of keypoints and classes: shipped as data files, read from the user's own, or from a COCO category."""

from sapiens2_lit.vocabularies.classes import IGNORED, Classes
from sapiens2_lit.vocabularies.classes_loader import load_classes, make_classes
from sapiens2_lit.vocabularies.skeleton import Skeleton
from sapiens2_lit.vocabularies.skeleton_loader import load_skeleton, skeleton_from_category

__all__ = [
    "IGNORED",
    "Classes",
    "Skeleton",
    "load_classes",
    "load_skeleton",
    "make_classes",
    "skeleton_from_category",
]
