"""Activation checkpointing of blocks: what is kept for the backward pass, and what is computed again."""

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from sapiens2_lit.errors import SettingError

Checkpointing = bool | int | Literal["selective"]
# Attention takes the most time per number that it returns. Device and dtype decide which of these runs.
ATTENTION = [
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
]


def check_checkpointing(value: Checkpointing) -> Checkpointing:
    """Return the value if it is a mode of checkpointing.

    Raises:
        SettingError: It is not.
    """
    if (isinstance(value, int) and value >= 0) or value == "selective":
        return value
    raise SettingError(
        f"activation_checkpointing: found {value!r}, expected true, false, selective, or n for every n-th block."
    )


def run_block(block: nn.Module, x: Tensor, rope: Any, index: int, mode: Checkpointing) -> Tensor:
    """Run one block, and compute its activations again in the backward pass if `mode` says so.

    Args:
        block: The block.
        x: Tokens (B, N, C), or a map for networks with stages.
        rope: Rotary positions, passed to the block; None for blocks without.
        index: Number of the block.
        mode: True for every block, n for every n-th, `selective` for every block but its attention.
    """
    inputs = (x,) if rope is None else (x, rope)
    again = mode == "selective" or (bool(mode) and index % int(mode) == 0)
    if not (again and torch.is_grad_enabled()):
        found: Tensor = block(*inputs)
        return found
    # The second forward pass must drop the same values as the first.
    random = any(drops(layer) for layer in block.modules())
    settings: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": random}
    if mode == "selective":
        settings["context_fn"] = partial(create_selective_checkpoint_contexts, ATTENTION)
    again_found: Tensor = checkpoint(block, *inputs, **settings)
    return again_found


def drops(layer: nn.Module) -> bool:
    """Return whether a layer drops values in training, or whole branches like timm's DropPath."""
    return (
        getattr(layer, "p", 0.0) > 0
        if isinstance(layer, nn.Dropout)
        else bool(getattr(layer, "drop_prob", 0.0))
    )
