"""Which pictures of a pool are worth learning from: measured once, then selected: `sapiens2-lit curate`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
