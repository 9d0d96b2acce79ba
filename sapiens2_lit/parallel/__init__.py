"""Prepare a plain model for the devices that it runs on; all use of torch.distributed is in here.

The order is: activation checkpointing (a setting of the backbone), compilation of each block in place, sharding. The
strategy for Lightning's Trainer is in `strategy.py`; plain models need not import it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
