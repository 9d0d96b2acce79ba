"""Activation checkpointing of blocks: what is kept for the backward pass, and what is computed again."""

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from sapiens2_lit.errors import SettingError

Checkpointing = bool | int | Literal["selective"]
# Attention takes most time for each number that it returns. One of these runs, by device and dtype.
ATTENTION = [
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
]


def check_checkpointing(value: Checkpointing) -> Checkpointing:
    """Return the value, if it is a mode.

    Raises:
        SettingError: it is not.
    """
    if (isinstance(value, int) and value >= 0) or value == "selective":
        return value
    raise SettingError(
        f"activation_checkpointing: found {value!r}, expected true, false, selective, or n for every n-th block."
    )


def run_block(block: nn.Module, x: Tensor, rope: Any, index: int, mode: Checkpointing) -> Tensor:
    """Return the block's result; where `mode` says so of block number `index`, its activations are computed twice."""
    inputs = (x,) if rope is None else (x, rope)
    again = mode == "selective" or (bool(mode) and index % int(mode) == 0)
    if not (again and torch.is_grad_enabled()):
        found: Tensor = block(*inputs)
        return found
    # The second time must drop what the first time dropped.
    random = any(drops(layer) for layer in block.modules())
    settings: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": random}
    if mode == "selective":
        settings["context_fn"] = partial(create_selective_checkpoint_contexts, ATTENTION)
    again_found: Tensor = checkpoint(block, *inputs, **settings)
    return again_found


def drops(layer: nn.Module) -> bool:
    """Whether a layer drops values, or as timm's DropPath whole branches, in training."""
    return (
        getattr(layer, "p", 0.0) > 0
        if isinstance(layer, nn.Dropout)
        else bool(getattr(layer, "drop_prob", 0.0))
    )
