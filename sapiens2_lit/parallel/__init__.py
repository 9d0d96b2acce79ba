"""How a plain model is made ready for the devices it runs on; all use of torch.distributed is in here.

The order is: activation checkpointing (a setting of the backbone), compilation of each block in place, sharding. The
strategy for Lightning's Trainer is in `strategy.py`, which plain models need not import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
