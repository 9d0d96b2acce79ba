"""Vocabularies of keypoints and classes: shipped as data files, read from the user's files, or from a COCO category."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
