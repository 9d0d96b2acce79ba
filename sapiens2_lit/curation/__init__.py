"""Select the pictures of a pool that are worth learning from: `sapiens2-lit curate` measures once, then selects."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
