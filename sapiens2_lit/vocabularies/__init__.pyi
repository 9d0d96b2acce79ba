from .classes import IGNORED, Classes
from .classes_loader import load_classes, make_classes
from .skeleton import Skeleton
from .skeleton_loader import load_skeleton, skeleton_from_category

__all__ = [
    "IGNORED",
    "Classes",
    "Skeleton",
    "load_classes",
    "load_skeleton",
    "make_classes",
    "skeleton_from_category",
]
