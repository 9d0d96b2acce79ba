"""Simulate what kernels of a GPU keep for the backward pass, on tensors of another device.

Fake tensors of a GPU that does not exist have no backward pass. So a step is simulated on fake CPU tensors, with
replacements for the few operations that keep something else on a GPU: norms and attention, which are fused there.

Shape suffixes: b batch, n tokens, h heads, d channels of a head.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.backbones.layers import Attention


class FusedRMSNorm(torch.autograd.Function):
    """Keeps its input, the weight and one number for each row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, x.new_empty((*x.shape[:-1], 1), dtype=torch.float32))
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, weight, _ = ctx.saved_tensors
        return torch.empty_like(x), torch.empty_like(weight)


class FlashAttention(torch.autograd.Function):
    """Keeps queries, keys, values, the result and one number for each query; never the (n, n) matrix."""

    @staticmethod
    def forward(ctx: Any, q_bhnd: Tensor, k_bhnd: Tensor, v_bhnd: Tensor) -> Tensor:
        y_bhnd = torch.empty_like(q_bhnd)
        rows = q_bhnd.new_empty(q_bhnd.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(q_bhnd, k_bhnd, v_bhnd, y_bhnd, rows)
        return y_bhnd

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_bhnd, k_bhnd, v_bhnd, _, rows = ctx.saved_tensors
        work = torch.empty_like(q_bhnd, dtype=torch.float32), torch.empty_like(rows)
        shared = q_bhnd.shape[1] != k_bhnd.shape[1]
        wide = (
            [torch.empty_like(q_bhnd) for _ in range(2)] if shared else []
        )  # these are summed over queries that share a key
        result = torch.empty_like(q_bhnd), torch.empty_like(k_bhnd), torch.empty_like(v_bhnd)
        del work, wide
        return result


@contextmanager
def gpu_kernels(backbone: Backbone) -> Iterator[None]:
    """Inside, norms and attention keep what the kernels of a GPU keep; their results have no contents."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(F, "rms_norm", _rms_norm))
        # selective checkpointing recognizes attention by the name of the operation
        if backbone.activation_checkpointing != "selective":
            stack.enter_context(patch.object(F, "scaled_dot_product_attention", _attention))
            shared = patch.object(Attention, "attend", lambda _, q, k, v: _attention(q, k, v))
            stack.enter_context(shared)  # GPU kernels share keys
        yield


def _rms_norm(x: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    return FusedRMSNorm.apply(x, x.new_ones(()) if weight is None else weight)


def _attention(
    q_bhnd: Tensor,
    k_bhnd: Tensor,
    v_bhnd: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    width = q_bhnd.shape[-1]
    if missing := -width % 8:  # the kernels need multiples of 8
        q_bhnd, k_bhnd, v_bhnd = (F.pad(x, (0, missing)) for x in (q_bhnd, k_bhnd, v_bhnd))
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        q_bhnd, k_bhnd, v_bhnd = (x.to(dtype) for x in (q_bhnd, k_bhnd, v_bhnd))
    return FlashAttention.apply(q_bhnd, k_bhnd, v_bhnd)[..., :width]
