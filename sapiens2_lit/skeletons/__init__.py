"""Keypoint vocabularies: shipped as data files, read from the user's own, or from a COCO category."""

from sapiens2_lit.skeletons.loader import SHIPPED, load_skeleton, skeleton_from_category
from sapiens2_lit.skeletons.skeleton import Skeleton

__all__ = ["SHIPPED", "Skeleton", "load_skeleton", "skeleton_from_category"]
