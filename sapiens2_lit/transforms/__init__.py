"""Augmentation: one warp for the image and all its labels, and changes of pixel values."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
