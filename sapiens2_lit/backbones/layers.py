"""Layers of a block: RMSNorm, attention with grouped queries, gated feed-forward network.

Shape suffixes: b batch, n tokens, c channels, h heads, d channels of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sapiens2_lit.backbones.rope import RopeTables, rotate

EPS = 1e-6
INIT_STD = 0.02
# Small networks trained from scratch learn faster with 1 than with 0.1 or 1e-5 (tried).
INIT_LAYER_SCALE = 1.0


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last dimension, with a weight and no bias (arXiv:1910.07467).

    Under autocast the result has the autocast dtype; otherwise each linear layer that uses it would cast it again.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        # The fused kernel needs one dtype for both, and sums in float32 for every dtype.
        y = F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), EPS)
        if torch.is_autocast_enabled(x.device.type):
            y = y.to(torch.get_autocast_dtype(x.device.type))
        return y


class LayerScale(nn.Module):
    """A learned factor per channel (arXiv:2103.17239)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), INIT_LAYER_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.to(x.dtype)


class Attention(nn.Module):
    """Self-attention in which `kv_heads` key-value heads are shared by `heads` queries (arXiv:2305.13245).

    Args:
        width: Channels of a token.
        heads: Number of query heads.
        kv_heads: Number of key-value heads; a divisor of `heads`.
        modern: Normalize queries and keys, and scale the result per channel; the 4K tokenizer does neither.
    """

    def __init__(self, width: int, heads: int, kv_heads: int, modern: bool) -> None:
        super().__init__()
        self.head_dim, self.repeats = width // heads, heads // kv_heads
        self.wq = nn.Linear(width, width)
        self.wk = nn.Linear(width, kv_heads * self.head_dim)
        self.wv = nn.Linear(width, kv_heads * self.head_dim)
        self.q_norm = RMSNorm(self.head_dim) if modern else None
        self.k_norm = RMSNorm(self.head_dim) if modern else None
        self.proj = nn.Linear(width, width)
        self.gamma = LayerScale(width) if modern else None

    def forward(self, x_bnc: Tensor, rope: RopeTables | None = None) -> Tensor:
        q_bhnd, k_bhnd, v_bhnd = (
            linear(x_bnc).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for linear in (self.wq, self.wk, self.wv)
        )
        if self.q_norm is not None and self.k_norm is not None:
            q_bhnd, k_bhnd = self.q_norm(q_bhnd), self.k_norm(k_bhnd)
        if rope is not None:
            q_bhnd, k_bhnd = rotate(q_bhnd, rope), rotate(k_bhnd, rope)
        y_bhnd = self.attend(q_bhnd, k_bhnd, v_bhnd)
        y_bnc = self.proj(y_bhnd.transpose(1, 2).flatten(2))
        return y_bnc if self.gamma is None else self.gamma(y_bnc)

    def attend(self, q_bhnd: Tensor, k_bhnd: Tensor, v_bhnd: Tensor) -> Tensor:
        """Return scaled dot-product attention (B, H, N, D).

        Args:
            q_bhnd: Queries (B, H, N, D).
            k_bhnd: Keys (B, K, N, D) of K key-value heads.
            v_bhnd: Values (B, K, N, D).
        """
        # On CUDA only flash attention shares keys, and it does not take float32: torch would fall back to a kernel
        # that writes the (n, n) matrix. In float32, and on CPUs, copying the keys is cheaper.
        share = q_bhnd.is_cuda and q_bhnd.dtype == torch.bfloat16
        if self.repeats > 1 and not share:
            k_bhnd, v_bhnd = (x.repeat_interleave(self.repeats, dim=1) for x in (k_bhnd, v_bhnd))
        return F.scaled_dot_product_attention(q_bhnd, k_bhnd, v_bhnd, enable_gqa=self.repeats > 1 and share)


class FeedForward(nn.Module):
    """SwiGLU: w3(silu(a) * b) with [a, b] = w12(x) (arXiv:2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x_bnc: Tensor) -> Tensor:
        gate, value = self.w12(x_bnc).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class Block(nn.Module):
    """Attention, then the feed-forward network, each with a norm before it and a shortcut beside it."""

    def __init__(self, width: int, heads: int, kv_heads: int, mlp_width: int, modern: bool = True) -> None:
        super().__init__()
        self.ln1 = RMSNorm(width)
        self.attn = Attention(width, heads, kv_heads, modern)
        self.ln2 = RMSNorm(width)
        self.ffn = FeedForward(width, mlp_width)

    def forward(self, x_bnc: Tensor, rope: RopeTables | None = None) -> Tensor:
        x_bnc = x_bnc + self.attn(self.ln1(x_bnc), rope)
        return x_bnc + self.ffn(self.ln2(x_bnc))


def init_normal(tensor: Tensor) -> None:
    """Fill a tensor of any shape from a normal distribution with deviation 0.02, clipped at two deviations.

    It is clipped instead of drawn again, since `trunc_normal_` takes minutes for the large sizes on a CPU.
    """
    with torch.no_grad():
        tensor.normal_(std=INIT_STD).clamp_(-2 * INIT_STD, 2 * INIT_STD)


def init_layer(module: nn.Module) -> None:
    """Initialize the direct parameters of a module; modules without any are left alone."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        init_normal(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, RMSNorm | nn.LayerNorm):
        nn.init.ones_(module.weight)
        if isinstance(module, nn.LayerNorm):
            nn.init.zeros_(module.bias)
    elif isinstance(module, LayerScale):
        nn.init.constant_(module.weight, INIT_LAYER_SCALE)
