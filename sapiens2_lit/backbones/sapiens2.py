"""The Sapiens2 vision transformer.

Shape suffixes: b batch, n tokens, c channels, h and w rows and columns of the patch grid.
"""

import logging
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone, resolve_indices
from sapiens2_lit.backbones.checkpointing import Checkpointing, check_checkpointing, run_block
from sapiens2_lit.backbones.layers import Block, RMSNorm, init_layer, init_normal
from sapiens2_lit.backbones.licences import SAPIENS2, licence_of
from sapiens2_lit.backbones.rope import Grid, RopePeriods, RopeTables, rope_tables
from sapiens2_lit.backbones.sizes import PATCH, WINDOW, BackboneSize, check_image_size, find_size
from sapiens2_lit.backbones.tokenizer import WindowTokenizer
from sapiens2_lit.checkpoints.lazy_safetensors import open_weights
from sapiens2_lit.checkpoints.released_names import NOT_BACKBONE, backbone_state
from sapiens2_lit.checkpoints.strict_loading import load_state
from sapiens2_lit.errors import SettingError

log = logging.getLogger(__name__)

REGISTERS = 8
PREFIX = 1 + REGISTERS  # number of tokens in front of the patches: class token, registers


class PatchEmbed(nn.Module):
    """Turn the pixels of each patch into a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, kernel_size=PATCH, stride=PATCH)

    def forward(self, images: Tensor) -> Tensor:
        return self.projection(images).flatten(2).transpose(1, 2)


class Sapiens2(Backbone):
    """Sapiens2 (Meta, 2026): a plain vision transformer for images of people, with released weights.

    Args:
        size: A name (`0.1b`, `0.4b`, `0.8b`, `1b`, `5b`; `pico` and `nano` have no released weights), or a
            `BackboneSize`.
        image_size: (height, width) in pixels at which it is used, multiples of 16, or of 64 with the window tokenizer.
            `forward` takes every such size; the released models were trained at 1024 x 768.
        window_tokenizer: The 4K variant: 4 x 4 patches become one token, so an image of 4096 x 3072 gives the 64 x 48
            map that 1024 x 768 gives without it.
        rope_dtype: Dtype in which positions are computed. The released code uses bfloat16, `transformers` and `timm`
            use float32; outputs differ by about 1e-3.
        weights: File, folder or hub id of pretrained weights, such as `facebook/sapiens2-pretrain-0.4b`.
        out_indices: Blocks whose maps `forward` returns, counted from 0 or, when negative, from the end. They must
            increase and end with the last block. Every map passes the final norm, since decoders on several maps (DPT,
            UPerNet) need one scale for all.
        activation_checkpointing: Keep only the inputs of blocks for the backward pass and compute the rest again: much
            less memory for a third more computation. `true` does so in every block, a number n in every n-th block,
            `selective` in every block but keeps the results of attention. May be changed at any time. The window
            tokenizer always does so.

    Raises:
        SettingError: A setting is out of range; the message names it.
        WeightsError: The weights are not found, or belong to another model.
    """

    image_size: tuple[int, int]
    activation_checkpointing: Checkpointing
    released_licence = SAPIENS2
    forward_methods = ("forward_tokens", "forward_visible")
    prefix_tokens = PREFIX

    def __init__(
        self,
        size: str | BackboneSize,
        image_size: Sequence[int] = (1024, 768),
        *,
        window_tokenizer: bool = False,
        rope_dtype: Literal["float32", "bfloat16"] = "float32",
        weights: str | None = None,
        out_indices: Sequence[int] = (-1,),
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        super().__init__()
        if rope_dtype not in ("float32", "bfloat16"):
            raise SettingError(f"rope_dtype: found {rope_dtype!r}, expected 'float32' or 'bfloat16'.")
        self.size = find_size(size)
        self.embed_dim = self.size.width
        self.depth = self.size.depth
        # Input pixels along one cell of the feature map.
        self.patch_size = PATCH * WINDOW if window_tokenizer else PATCH
        self.image_size = check_image_size(image_size, self.patch_size)
        self.rope_dtype = torch.float32 if rope_dtype == "float32" else torch.bfloat16
        self.out_indices = resolve_indices(out_indices, self.depth)
        self.weights = weights
        self.licence = licence_of(weights)
        self.activation_checkpointing = check_checkpointing(activation_checkpointing)

        device = torch.empty(0).device  # also right in `with torch.device(...)` of older releases of torch
        with torch.device("meta"):  # values are set once, below, not first in every layer's constructor
            self._build(window_tokenizer)
        if device.type != "meta":
            self.to_empty(device=device)
            self.init_weights()
            self.load_weights()

    def _build(self, window_tokenizer: bool) -> None:
        size = self.size
        self.cls_token = nn.Parameter(torch.empty(1, 1, size.width))
        self.storage_tokens = nn.Parameter(torch.empty(1, REGISTERS, size.width))
        self.patch_embed = PatchEmbed(size.width)
        self.rope_embed = RopePeriods(size.head_dim)
        self.tokenizer = WindowTokenizer(size) if window_tokenizer else None
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads, size.kv_heads(i), size.mlp_width) for i in range(size.depth)
        )
        self.ln1 = RMSNorm(size.width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Turn normalized RGB (B, 3, H, W) into normed, contiguous maps (B, C, H/p, W/p) of `out_indices`.

        Raises:
            SettingError: H or W is not a multiple of the patch size p (16, or 64 with the window tokenizer).
        """
        grid = self._grid(images)
        x_bnc = self._embed(images, grid)
        return [
            self.ln1(x_bnc)[:, PREFIX:].transpose(1, 2).unflatten(2, grid).contiguous()
            for x_bnc in self._run_blocks(x_bnc, self._rope(x_bnc, grid), self.out_indices)
        ]

    def forward_tokens(self, images: Tensor) -> Tensor:
        """Turn normalized RGB (B, 3, H, W) into class token, 8 registers and patches (B, 9 + H/p * W/p, C), normed.

        Raises:
            SettingError: See `forward`.
        """
        grid = self._grid(images)
        x_bnc = self._embed(images, grid)
        (x_bnc,) = self._run_blocks(x_bnc, self._rope(x_bnc, grid), (self.depth - 1,))
        return self.ln1(x_bnc)

    def forward_visible(self, images: Tensor, visible_bv: Tensor) -> Tensor:
        """Encode only some of the patches, each at its position in the image, as in MAE (arXiv:2111.06377).

        Blocks see no other patch. The window tokenizer sees all of them, as patches are dropped after it.

        Args:
            images: Normalized RGB (B, 3, H, W).
            visible_bv: (B, V) int64, the patches of each image as row * columns + column, in any order.

        Returns:
            Class token, 8 registers and the patches in the given order, (B, 9 + V, C), normed.

        Raises:
            SettingError: See `forward`.
        """
        grid = self._grid(images)
        x_bnc = self._embed(images, grid)
        x_bnc = x_bnc.gather(1, visible_bv[..., None].expand(-1, -1, x_bnc.shape[-1]))
        tables = self._rope(x_bnc, grid)
        first = torch.arange(PREFIX, device=visible_bv.device).expand(len(visible_bv), -1)
        rows_bn = torch.cat([first, visible_bv + PREFIX], dim=1)
        cos_b1nd, sin_b1nd = (table[rows_bn].unsqueeze(1) for table in tables)
        (x_bnc,) = self._run_blocks(x_bnc, (cos_b1nd, sin_b1nd), (self.depth - 1,))
        return self.ln1(x_bnc)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        height, width = check_image_size(images.shape[-2:], self.patch_size)
        return height // self.patch_size, width // self.patch_size

    def _embed(self, images: Tensor, grid: Grid) -> Tensor:
        """Return a token for each patch, or for each window with the window tokenizer, (B, h * w, C)."""
        x_bnc = self.patch_embed(images)
        if self.tokenizer is not None:
            x_bnc = self.tokenizer(x_bnc, (grid[0] * WINDOW, grid[1] * WINDOW))
        return x_bnc

    def _rope(self, x_bnc: Tensor, grid: Grid) -> RopeTables:
        """Return the tables of the whole grid, with the device and dtype of the tokens."""
        kind = x_bnc.device.type
        compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x_bnc.dtype
        # With the released bfloat16 positions, queries and keys are rotated in bfloat16 too.
        out = torch.bfloat16 if self.rope_dtype == torch.bfloat16 else compute
        return rope_tables(
            grid, self.size.head_dim, prefix=PREFIX, dtype=self.rope_dtype, device=x_bnc.device, out=out
        )

    def _run_blocks(self, x_bnc: Tensor, rope: RopeTables, wanted: tuple[int, ...]) -> list[Tensor]:
        """Return the tokens after each of the `wanted` blocks, with class token and registers in front."""
        batch = x_bnc.shape[0]  # len() would fix the batch size in an exported graph
        prefix = [token.expand(batch, -1, -1) for token in (self.cls_token, self.storage_tokens)]
        x_bnc = torch.cat([*prefix, x_bnc], dim=1)
        kept = []
        for i, block in enumerate(self.blocks):
            x_bnc = run_block(block, x_bnc, rope, i, self.activation_checkpointing)
            if i in wanted:
                kept.append(x_bnc)
        return kept

    def init_weights(self) -> None:
        """Initialize in place: linear layers and tokens normal with deviation 0.02, biases 0, norms and scales 1."""
        self.apply(init_layer)
        init_normal(self.cls_token)
        init_normal(self.storage_tokens)
        self.rope_embed.init_weights()
        if self.tokenizer is not None:
            self.tokenizer.init_weights()

    def load_weights(self) -> None:
        """Load `self.weights`, if any, strictly, and log what was loaded.

        Raises:
            WeightsError: The weights are not found, or names or shapes differ; nothing is loaded then.
        """
        if self.weights is None:
            return
        found = open_weights(self.weights)
        report = load_state(self, backbone_state(found.tensors), source=found.origin, ignore=NOT_BACKBONE)
        log.info("%s", report.summary())

    def other_parts(self) -> list[nn.Module]:
        """Return the window tokenizer, if any.

        Its blocks run once for each chunk of windows; as one part, they are gathered only once.
        """
        return [] if self.tokenizer is None else [self.tokenizer]

    def feature_settings(self) -> dict[str, str]:
        return {"rope": str(self.rope_dtype), "maps": str(self.out_indices)}

    def layer_depth(self, name: str) -> int:
        """Return 0 for tokens, patch embedding and tokenizer, i + 1 for block i, depth + 1 for the final norm.

        Raises:
            KeyError: No parameter has this name.
        """
        stage, *rest = name.removeprefix("backbone.").split(".")
        if stage == "blocks" and rest and rest[0].isdecimal() and int(rest[0]) < self.depth:
            return int(rest[0]) + 1
        if stage in ("cls_token", "storage_tokens", "patch_embed", "tokenizer", "rope_embed"):
            return 0
        if stage == "ln1":
            return self.depth + 1
        raise KeyError(f"{name!r} is not a parameter of Sapiens2.")
