"""How a plain model is made ready for the devices it runs on; all use of torch.distributed is in here.

The order is: activation checkpointing (a setting of the backbone), compilation of each block in place, sharding. The strategy
for Lightning's Trainer is in `strategy.py`, which plain models need not import.
"""

from sapiens2_lit.parallel.blocks import compile_blocks
from sapiens2_lit.parallel.gradients import clip_gradients
from sapiens2_lit.parallel.placement import held_part, local_values
from sapiens2_lit.parallel.ranks import sum_over_ranks, true_on_any_rank

__all__ = [
    "clip_gradients",
    "compile_blocks",
    "held_part",
    "local_values",
    "sum_over_ranks",
    "true_on_any_rank",
]
