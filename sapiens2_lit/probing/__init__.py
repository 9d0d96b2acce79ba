"""Compare frozen backbones by light probes on the tasks with labels in the data: `sapiens2-lit probe`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
