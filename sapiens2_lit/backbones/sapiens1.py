"""The vision transformer of Sapiens v1.

Shape suffixes: b batch, n tokens, c channels, h attention heads, d channels of a head.
"""

import copy
import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sapiens2_lit.backbones.base import Backbone, resolve_indices
from sapiens2_lit.backbones.checkpointing import Checkpointing, check_checkpointing, run_block
from sapiens2_lit.backbones.layers import init_layer, init_normal
from sapiens2_lit.backbones.positions import resampled, table_for
from sapiens2_lit.backbones.sapiens1_sizes import (
    MLP_RATIO,
    Sapiens1Size,
    find_sapiens1_size,
    sapiens1_size_name,
)
from sapiens2_lit.backbones.sizes import PATCH, check_image_size
from sapiens2_lit.checkpoints.lazy_safetensors import Readable, open_weights
from sapiens2_lit.checkpoints.released_names import NOT_BACKBONE, backbone_state
from sapiens2_lit.checkpoints.sapiens1_file import LICENCE, padding_of_source, shape_of
from sapiens2_lit.checkpoints.strict_loading import load_state
from sapiens2_lit.errors import SettingError, WeightsError

log = logging.getLogger(__name__)

PADDINGS = (0, 2)
EPS = 1e-6
CLASS_TOKEN = "cls_token"
NOT_IN_TASKS = {CLASS_TOKEN: "the class token, which released task models leave out"}


class PatchEmbed(nn.Module):
    """Turn the pixels of each patch into a token; with padding, patches begin that many pixels further up and left."""

    def __init__(self, width: int, padding: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, kernel_size=PATCH, stride=PATCH, padding=padding)

    def forward(self, images: Tensor) -> Tensor:
        return self.projection(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with one linear layer for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_bnc: Tensor) -> Tensor:
        q_bhnd, k_bhnd, v_bhnd = self.qkv(x_bnc).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y_bhnd = F.scaled_dot_product_attention(q_bhnd, k_bhnd, v_bhnd)
        return self.proj(y_bhnd.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers around a GELU, in released names (`layers.0.0`, `layers.1`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = MLP_RATIO * width
        first = nn.Sequential(nn.Linear(width, hidden), nn.GELU())
        self.layers = nn.Sequential(first, nn.Linear(hidden, width))

    def forward(self, x_bnc: Tensor) -> Tensor:
        return self.layers(x_bnc)


class Block(nn.Module):
    """Attention, then the feed-forward network, each with a norm before it and a shortcut beside it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.ln2 = nn.LayerNorm(width, eps=EPS)
        self.ffn = FeedForward(width)

    def forward(self, x_bnc: Tensor) -> Tensor:
        x_bnc = x_bnc + self.attn(self.ln1(x_bnc))
        return x_bnc + self.ffn(self.ln2(x_bnc))


class Sapiens1(Backbone):
    """Sapiens v1 (Meta, 2024, arXiv:2408.12569): a plain vision transformer, with released weights under CC BY-NC 4.0.

    Args:
        size: A name (`0.3b`, `0.6b`, `1b`, `2b`), or a `Sapiens1Size`.
        image_size: (height, width) in pixels at which it is used, multiples of 16. Positions are held for this size,
            and resampled (bicubic) from the positions of a file. `forward` takes every such size.
        padding: Pixels of zeros around the image before it is cut into patches: 2 in some released models, else 0. No
            file says which. Null uses the padding of the released model with the file's task and size; without weights
            it is 0.
        class_token: Keep the class token of pretraining, which released task models leave out.
        weights: File, folder or hub id of released weights, such as `facebook/sapiens-pretrain-0.3b`.
        out_indices: Blocks whose maps `forward` returns; see `Sapiens2`.
        activation_checkpointing: See `Sapiens2`.

    Raises:
        SettingError: A setting is out of range, or `padding` is null and the file has a head that was not released.
        WeightsError: The weights are not found, or belong to another model.
    """

    image_size: tuple[int, int]
    activation_checkpointing: Checkpointing
    released_licence = LICENCE
    holds_frozen = True  # positions are resampled, and a file may have an additional class token

    def __init__(
        self,
        size: str | Sapiens1Size,
        image_size: Sequence[int] = (1024, 768),
        *,
        padding: int | None = None,
        class_token: bool = False,
        weights: str | None = None,
        out_indices: Sequence[int] = (-1,),
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        super().__init__()
        if padding not in (None, *PADDINGS):
            raise SettingError(f"padding: found {padding!r}, expected 0, 2 or null.")
        self.size = find_sapiens1_size(size)
        self.embed_dim, self.depth, self.patch_size = self.size.width, self.size.depth, PATCH
        self.image_size = check_image_size(image_size, PATCH)
        self.out_indices = resolve_indices(out_indices, self.depth)
        self.weights = weights
        self.licence = LICENCE if weights is not None else None
        self.activation_checkpointing = check_checkpointing(activation_checkpointing)
        self.padding_given = padding is not None
        if padding is None:
            padding = 0 if weights is None else padding_of_source(weights)
        self.padding, self.class_token = padding, class_token
        self.prefix_tokens = int(class_token)

        device = torch.empty(0).device  # also right in `with torch.device(...)` of older releases of torch
        with torch.device("meta"):  # values are set once, below, not first in every layer's constructor
            self._build()
        if device.type != "meta":
            self.to_empty(device=device)
            self.init_weights()
            self.load_weights()

    def _build(self) -> None:
        size, (rows, columns) = self.size, self.grid
        if self.class_token:
            self.cls_token = nn.Parameter(torch.empty(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.empty(1, self.prefix_tokens + rows * columns, size.width))
        self.patch_embed = PatchEmbed(size.width, self.padding)
        self.layers = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.depth))
        self.blocks = tuple(self.layers)
        self.ln1 = nn.LayerNorm(size.width, eps=EPS)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches that positions are held for."""
        return self.image_size[0] // PATCH, self.image_size[1] // PATCH

    def forward(self, images: Tensor) -> list[Tensor]:
        """Turn normalized RGB (B, 3, H, W) into normed, contiguous maps (B, C, H/16, W/16) of `out_indices`.

        Raises:
            SettingError: H or W is not a multiple of 16.
        """
        height, width = check_image_size(images.shape[-2:], PATCH)
        grid = height // PATCH, width // PATCH
        x_bnc = self._embed(images, grid)
        maps = []
        for i, block in enumerate(self.blocks):
            x_bnc = run_block(block, x_bnc, None, i, self.activation_checkpointing)
            if i in self.out_indices:
                patches = self.ln1(x_bnc)[:, self.prefix_tokens :]
                maps.append(patches.transpose(1, 2).unflatten(2, grid).contiguous())
        return maps

    def _embed(self, images: Tensor, grid: tuple[int, int]) -> Tensor:
        x_bnc = self.patch_embed(images)
        if self.class_token:
            x_bnc = torch.cat([self.cls_token.expand(x_bnc.shape[0], -1, -1), x_bnc], dim=1)
        if grid == self.grid:
            return x_bnc + self.pos_embed
        return x_bnc + resampled(self.pos_embed, self.grid, grid, self.prefix_tokens).to(x_bnc.dtype)

    def init_weights(self) -> None:
        """Initialize in place: linear layers, tokens and positions normal with deviation 0.02, biases 0, norms 1."""
        self.apply(init_layer)
        init_normal(self.pos_embed)
        if self.class_token:
            init_normal(self.cls_token)

    def load_weights(self) -> None:
        """Load `self.weights`, if any, strictly, and log what was loaded.

        Raises:
            WeightsError: The weights are not found, or names or shapes differ; nothing is loaded then.
        """
        if self.weights is None:
            return
        found = open_weights(self.weights)
        tensors = self.fit_tensors(backbone_state(found.tensors), found.origin)
        ignore = NOT_BACKBONE if self.class_token else NOT_BACKBONE | NOT_IN_TASKS
        log.info("%s", load_state(self, tensors, source=found.origin, ignore=ignore).summary())

    def fit_tensors(
        self, tensors: Mapping[str, Readable], origin: str, prefix: str = ""
    ) -> dict[str, Readable]:
        """Return the tensors of a file with positions for this image size.

        Raises:
            WeightsError: They have another size, or are not from a Sapiens v1 backbone.
        """
        fitted = dict(tensors)
        shape = shape_of(tensors, origin, prefix)
        if (shape.width, shape.depth) != (self.size.width, self.size.depth):
            named = sapiens1_size_name(shape.width, shape.depth)
            raise WeightsError(
                f"{origin}: found a Sapiens v1 backbone {shape.width} wide and {shape.depth} blocks deep"
                + (f" (size: {named})" if named else "")
                + f", expected {self.size.width} and {self.size.depth}: does `size` match the file?"
            )
        if self.class_token and not shape.class_token:
            raise WeightsError(
                f"{origin}: has no class token, expected one for class_token: true; released task models have none."
            )
        name = f"{prefix}pos_embed"
        if fitted[name].shape != self.pos_embed.shape:
            held = fitted[name]
            whole = held if isinstance(held, Tensor) else held.read(())
            fitted[name] = table_for(whole, shape.class_token, self.grid, self.class_token, origin)
        return fitted

    def check_source(self, source: str) -> None:
        if self.padding_given or self.weights is not None:
            return
        needed = padding_of_source(source)
        if needed != self.padding:
            raise SettingError(
                f"model.backbone.padding: {source} was trained with {needed}, and the default is {self.padding} here: "
                f"set padding={needed}."
            )

    def with_blocks(self, blocks: Sequence[nn.Module], out_indices: tuple[int, ...]) -> "Sapiens1":
        other = copy.copy(self)
        other._modules = {**self._modules, "layers": nn.ModuleList(blocks)}
        other.blocks, other.out_indices = tuple(blocks), out_indices
        return other

    def lora_targets(self) -> list[str]:
        return ["attn.proj", "attn.qkv", "ffn.layers.0.0", "ffn.layers.1"]

    def feature_settings(self) -> dict[str, str]:
        return {"maps": str(self.out_indices), "padding": str(self.padding), "grid": str(self.grid)}

    def layer_depth(self, name: str) -> int:
        """Return 0 for tokens, positions and patch embedding, i + 1 for block i, depth + 1 for the final norm.

        Raises:
            KeyError: No parameter has this name.
        """
        stage, *rest = name.removeprefix("backbone.").split(".")
        if stage == "layers" and rest and rest[0].isdecimal() and int(rest[0]) < self.depth:
            return int(rest[0]) + 1
        if stage in ("cls_token", "pos_embed", "patch_embed"):
            return 0
        if stage == "ln1":
            return self.depth + 1
        raise KeyError(f"{name!r} is not a parameter of Sapiens1.")
