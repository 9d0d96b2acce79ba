"""How a plain model is made ready for the devices it runs on; all use of torch.distributed is in here.

The order is: activation checkpointing (a setting of the backbone), compilation of each block in place, sharding.
"""

from sapiens2_lit.parallel.blocks import compile_blocks
from sapiens2_lit.parallel.gradients import clip_gradients
from sapiens2_lit.parallel.placement import held_part, local_values
from sapiens2_lit.parallel.ranks import sum_over_ranks, true_on_any_rank
from sapiens2_lit.parallel.strategy import ShardedStrategy, strategy_sharding

__all__ = [
    "ShardedStrategy",
    "clip_gradients",
    "compile_blocks",
    "held_part",
    "local_values",
    "strategy_sharding",
    "sum_over_ranks",
    "true_on_any_rank",
]
