"""Checks of labels: what is wrong with a dataset, how bad it is and how to correct it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
