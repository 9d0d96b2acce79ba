"""Backbones of timm."""

import copy
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone, resolve_indices
from sapiens2_lit.backbones.checkpointing import Checkpointing, check_checkpointing
from sapiens2_lit.backbones.sizes import check_image_size
from sapiens2_lit.backbones.timm_models import STRIDE, check_args, described, model_config, refuse
from sapiens2_lit.backbones.timm_plain import build_plain, is_plain, plain_depth, plain_maps
from sapiens2_lit.backbones.timm_staged import (
    COARSEST,
    blocks_of,
    build_staged,
    is_staged,
    staged_depth,
    staged_map,
)
from sapiens2_lit.backbones.timm_weights import PRETRAINED, copy_values, hub_id_of, load_timm
from sapiens2_lit.errors import SettingError

log = logging.getLogger(__name__)


class TimmBackbone(Backbone):
    """A network of timm: DINOv3, DINOv2, SigLIP2, Perception Encoder, MAE and others; ConvNeXt and Swin.

    Maps have stride 16, pass the network's final norm if it has one, and leave out class token and registers. Images
    are normalized as the model's weights expect. Parts that do not contribute to the map, such as a classifier or
    pooling, are not built.

    For plain vision transformers, patches of 14 pixels (DINOv2) are resampled to 16, and learned positions to the grid
    of `image_size`. Random shifts and scales of rotary positions belong to pretraining and are off. The last map of
    ConvNeXt and Swin has stride 32 and is resampled to 16, bilinear.

    Args:
        name: Name in timm, with the tag of its weights if it has several: `vit_large_patch16_dinov3.lvd1689m`.
        image_size: (height, width) in pixels at which it is used, multiples of 16, or of 32 for ConvNeXt and Swin.
            `forward` takes every such size. None for the size that the weights were trained at.
        weights: `pretrained` for the weights that the name means, from the Hugging Face hub; or a file, a folder or a
            hub id with weights of this model. None for random values.
        out_indices: Blocks whose maps `forward` returns, counted from 0 or, when negative, from the end. They must
            increase and end with the last block. Every map passes the final norm. ConvNeXt and Swin only give the last
            block's map, since maps of other stages have other widths.
        model_args: Arguments of timm's class that differ from what the name means, such as `{depth: 2}`.
        activation_checkpointing: See `Sapiens2`.

    Raises:
        SettingError: A setting is out of range, timm is not installed or has no such model, or the model gives no such
            map.
        WeightsError: The weights are not found, or belong to another model.
    """

    activation_checkpointing: Checkpointing
    holds_frozen = True

    def __init__(
        self,
        name: str,
        image_size: tuple[int, int] | None = (1024, 768),
        weights: str | None = None,
        out_indices: Sequence[int] = (-1,),
        *,
        model_args: dict[str, Any] | None = None,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        super().__init__()
        self.name = name.removeprefix("timm/")
        config = model_config(self.name)
        self.mean, self.std = of_bytes(config.mean), of_bytes(config.std)
        self.patch_size = STRIDE
        self.model_args = dict(model_args or {})
        self.weights = hub_id_of(self.name, config) if weights == PRETRAINED else weights
        self.licence = config.license if weights is not None else None
        self.activation_checkpointing = check_checkpointing(activation_checkpointing)

        device = torch.empty(0).device
        named = described(self.name)
        if not (is_plain(named) or is_staged(named)):
            raise refuse(self.name, named, "which gives no such map")
        check_args(named, self.model_args)
        self.staged = is_staged(named)
        self.multiple = COARSEST if self.staged else STRIDE
        self.image_size = None if image_size is None else check_image_size(image_size, self.multiple)
        # Random numbers that timm draws here must not change what `init_weights` draws.
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            self.model = self._build()
        self.embed_dim = int(self.model.num_features)
        self.blocks = tuple(blocks_of(self.model) if self.staged else self.model.blocks)
        self.depth = len(self.blocks)
        self.out_indices = resolve_indices(out_indices, self.depth)
        if self.staged and len(self.out_indices) > 1:
            raise SettingError(
                f"out_indices: found {list(out_indices)}, expected only the last block: maps of other stages of "
                f"{self.name} have other widths."
            )
        if device.type != "meta":
            self.to_empty(device=device)
            self.init_weights()
            self.load_weights()

    def _build(self) -> Any:
        build = build_staged if self.staged else build_plain
        return build(self.name, described(self.name), self.image_size, self.model_args)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Turn normalized RGB (B, 3, H, W) into normed, contiguous maps (B, C, H/16, W/16) of `out_indices`.

        Raises:
            SettingError: H or W is not a multiple of 16 (of 32 for ConvNeXt and Swin).
        """
        check_image_size(images.shape[-2:], self.multiple)
        if self.staged:
            return [staged_map(self.model, images, self.activation_checkpointing)]
        return plain_maps(self.model, images, self.out_indices, self.activation_checkpointing)

    def init_weights(self) -> None:
        """Initialize every parameter and buffer as timm does, in place."""
        model: Any = self.model
        if hasattr(model, "init_weights") and not getattr(model, "rope_mixed", False):
            model.init_weights()
            return
        with torch.device("cpu"):  # timm initializes such models only while it builds them
            copy_values(self._build(), model)

    def load_weights(self) -> None:
        """Load `self.weights`, if any, strictly, and log what was loaded.

        Raises:
            WeightsError: The weights are not found, or names or shapes differ; nothing is loaded then.
        """
        if self.weights is not None:
            log.info("%s", load_timm(self.model, self.weights, self.name).summary())

    def with_blocks(self, blocks: Sequence[nn.Module], out_indices: tuple[int, ...]) -> "TimmBackbone | None":
        if self.staged:
            return None
        other, model = copy.copy(self), copy.copy(self.model)
        model._modules = {**self.model._modules, "blocks": nn.ModuleList(blocks)}
        other._modules = {**self._modules, "model": model}
        other.blocks, other.out_indices = tuple(blocks), out_indices
        return other

    def feature_settings(self) -> dict[str, str]:
        return {"timm": self.name, "maps": str(self.out_indices), "pixels": f"{self.mean} {self.std}"}

    def layer_depth(self, name: str) -> int:
        """Return 0 for tokens, positions and patch embedding, i + 1 for block i, depth + 1 for the final norm.

        Raises:
            KeyError: No parameter has this name.
        """
        plain = name.removeprefix("backbone.").removeprefix("model.")
        try:
            return staged_depth(self.model, plain) if self.staged else plain_depth(plain, self.depth)
        except KeyError as error:
            raise KeyError(f"{name!r} is not a parameter of {self.name}.") from error


def of_bytes(values: Sequence[float]) -> tuple[float, float, float]:
    """Convert a mean or deviation for RGB in 0..1 to RGB in 0..255."""
    red, green, blue = (round(value * 255, 6) for value in values)
    return red, green, blue
