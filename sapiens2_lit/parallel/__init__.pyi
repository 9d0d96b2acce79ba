from .blocks import compile_blocks
from .collectives import (
    gather_over_ranks,
    gather_with_gradient,
    greatest_over_ranks,
    max_over_ranks,
    several_ranks,
    sum_over_ranks,
)
from .dtensor import held_part, local_values, whole
from .gradients import clip_gradients, clip_values

__all__ = [
    "clip_gradients",
    "clip_values",
    "compile_blocks",
    "gather_over_ranks",
    "gather_with_gradient",
    "greatest_over_ranks",
    "held_part",
    "local_values",
    "max_over_ranks",
    "several_ranks",
    "sum_over_ranks",
    "whole",
]
