"""Frozen backbones compared by light probes on the tasks whose labels the data have: `sapiens2-lit probe`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
