"""How a plain model is made ready for the devices it runs on; all use of torch.distributed is in here.

The order is: activation checkpointing (a setting of the backbone), compilation of each block in place, sharding. The
strategy for Lightning's Trainer is in `strategy.py`, which plain models need not import.
"""

from sapiens2_lit.parallel.blocks import compile_blocks
from sapiens2_lit.parallel.collectives import (
    gather_over_ranks,
    greatest_over_ranks,
    max_over_ranks,
    several_ranks,
    sum_over_ranks,
)
from sapiens2_lit.parallel.dtensor import held_part, local_values, whole
from sapiens2_lit.parallel.gradients import clip_gradients, clip_values

__all__ = [
    "clip_gradients",
    "clip_values",
    "compile_blocks",
    "gather_over_ranks",
    "greatest_over_ranks",
    "held_part",
    "local_values",
    "max_over_ranks",
    "several_ranks",
    "sum_over_ranks",
    "whole",
]
