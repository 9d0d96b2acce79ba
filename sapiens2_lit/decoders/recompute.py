"""Decoders that keep few of their maps and compute the others again in the backward pass.

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
    """Run the units of a decoder, the last of which is the predictor, on a map; inference uses `run_lean`.

    Args:
        units: The units. Their norms, if any, must be over single samples, so that a batch can be cut.
        x: The map (B, C, H, W).
        recompute: What is kept for the backward pass. `none`: all maps. `stages`: one map for each unit. `samples`:
            only the result, and in the backward pass one map for each unit, for one sample at a time, whatever the
            batch size. Outputs and gradients equal the ones of `none` up to rounding. `stages` computes the forward
            pass twice, `samples` three times.
    """
    if not torch.is_grad_enabled() and not (torch.compiler.is_compiling() or torch.compiler.is_exporting()):
        return run_lean(units, x)
    if recompute == "none" or not torch.is_grad_enabled():
        return _chain(units, x)
    if recompute == "stages":
        return _by_stages(units, x)
    return torch.cat([_again(lambda sample: _by_stages(units, sample), sample) for sample in x.split(1)])


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether a module has statistics over the whole batch.

    Then samples cannot be computed separately, and no stage may run twice.
    """
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def _chain(units: Sequence[Unit], x: Tensor) -> Tensor:
    for unit in units:
        x = unit(x)
    return x


def _by_stages(units: Sequence[Unit], x: Tensor) -> Tensor:
    for unit in units[:-1]:
        x = _again(unit, x)
    return units[-1](x)  # keeps only its input


def _again(unit: Unit, x: Tensor) -> Tensor:
    return checkpoint(unit, x, use_reentrant=False, preserve_rng_state=False)
