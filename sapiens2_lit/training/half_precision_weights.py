"""Hold frozen weights in half the memory."""

from collections.abc import Container

import torch
from torch import nn


def hold_in_bfloat16(backbone: nn.Module, trained: Container[str]) -> list[str]:
    """Round parameters of linear and convolutional layers that are not trained to bfloat16, in place.

    Under `bf16-mixed` autocast these layers compute with such copies anyway, so results are identical to the bit, and
    no copies are needed. Norms and tokens, which are combined with float32 values, stay unchanged.

    Args:
        backbone: The backbone.
        trained: Names of the parameters that are ever trained.

    Returns:
        The names of the rounded parameters.
    """
    rounded = []
    for prefix, module in backbone.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            full = f"{prefix}.{name}" if prefix else name
            if full not in trained:
                parameter.data = parameter.data.to(torch.bfloat16)
                rounded.append(full)
    return rounded
