"""Class vocabularies of segmentation: shipped as data files, or read from the user's own."""

from sapiens2_lit.classes.classes import IGNORED, Classes
from sapiens2_lit.classes.loader import SHIPPED, load_classes, make_classes

__all__ = ["IGNORED", "SHIPPED", "Classes", "load_classes", "make_classes"]
