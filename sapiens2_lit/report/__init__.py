"""Write one page that tells how good a model is: `sapiens2-lit test ... --report DIR`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
