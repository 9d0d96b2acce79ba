"""Decoders that keep few of their maps: the rest is computed again in the backward pass.

A map of 128 channels at 1024 x 768 takes 200 MB in bfloat16, and a stage of convolution, norm and activation keeps
three or four of them for every sample.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sapiens2_lit.decoders.chain import Unit
from sapiens2_lit.decoders.lean import run_lean

Recompute = Literal["none", "stages", "samples"]
RECOMPUTE: tuple[Recompute, ...] = get_args(Recompute)


def run_units(units: Sequence[Unit], x: Tensor, recompute: Recompute = "none") -> Tensor:
    """Pass a map (B, C, h, w) through the units, of which the last one is the predictor; see `run_lean` for inference.

    Args:
        units: each one's norms, if any, are over samples of their own, so that a batch may be cut.
        recompute: what is kept for the backward pass: `none`: all maps; `stages`: one map a unit; `samples`: nothing
            but the result, and later one map a unit of one sample at a time, whatever the batch. Outputs and gradients
            are those of `none`, to the order of sums. `stages` computes the forward pass twice, `samples` three times.
    """
    if not torch.is_grad_enabled() and not (torch.compiler.is_compiling() or torch.compiler.is_exporting()):
        return run_lean(units, x)
    if recompute == "none" or not torch.is_grad_enabled():
        return _chain(units, x)
    if recompute == "stages":
        return _by_stages(units, x)
    return torch.cat([_again(lambda sample: _by_stages(units, sample), sample) for sample in x.split(1)])


def has_batch_norm(module: nn.Module) -> bool:
    """Whether statistics are taken over the whole batch: samples cannot be told apart then, nor stages run twice."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def _chain(units: Sequence[Unit], x: Tensor) -> Tensor:
    for unit in units:
        x = unit(x)
    return x


def _by_stages(units: Sequence[Unit], x: Tensor) -> Tensor:
    for unit in units[:-1]:
        x = _again(unit, x)
    return units[-1](x)  # keeps its input alone


def _again(unit: Unit, x: Tensor) -> Tensor:
    return checkpoint(unit, x, use_reentrant=False, preserve_rng_state=False)
