"""Maps of a decoder that are computed twice instead of being kept for the backward pass.

At 1024 x 768 the maps of a decoder, hundreds of channels at half or all of that size, take more memory than a small
backbone. Each convolution leaves three behind (its own, the norm's, the activation's); computed again, it leaves one.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d


def run_stage(stage: nn.Module, x: Tensor, again: bool) -> Tensor:
    """`stage(x)`; with `again`, what the backward pass needs is computed anew, from one convolution to the next."""
    found: Tensor
    if not (again and torch.is_grad_enabled()):
        found = stage(x)
        return found
    for unit in units(stage):
        x = checkpoint(partial(run_layers, unit), x, use_reentrant=False, preserve_rng_state=False)
    return x


def run_layers(layers: list[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def units(stage: nn.Module) -> list[list[nn.Module]]:
    """The layers of a chain in order, a new list beginning with each convolution."""
    found: list[list[nn.Module]] = []
    for layer in layers_of(stage):
        if not found or isinstance(layer, CONVOLUTIONS):
            found.append([])
        found[-1].append(layer)
    return found


def layers_of(stage: nn.Module) -> Iterator[nn.Module]:
    if isinstance(stage, nn.Sequential):
        for part in stage:
            yield from layers_of(part)
    else:
        yield stage
