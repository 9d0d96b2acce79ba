"""Backbones of timm."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.backbones.base import Backbone, resolve_indices
from sapiens2_lit.backbones.checkpointing import Checkpointing, check_checkpointing, run_block
from sapiens2_lit.backbones.sizes import check_image_size
from sapiens2_lit.backbones.timm_models import STRIDE, build_plain, embed, final_norm, model_config
from sapiens2_lit.backbones.timm_weights import PRETRAINED, hub_id_of, load_timm

log = logging.getLogger(__name__)


class TimmBackbone(Backbone):
    """Any vision transformer of timm: DINOv3, DINOv2, SigLIP2, Perception Encoder, MAE and more.

    Maps have stride 16, pass the network's final norm, if it has one, and leave class token and registers out. Images
    are normalized as the model's weights expect it. Nothing that is beside the map is built: no classifier, no pooling.

    Patches of 14 pixels (DINOv2) are resampled to 16, as are learned positions to the grid of `image_size`. Random
    shifts and scales of rotary positions belong to pretraining and are off.

    Args:
        name: of timm, with the tag of its weights where it has several: `vit_large_patch16_dinov3.lvd1689m`.
        image_size: (height, width) in pixels at which it is used, multiples of 16. `forward` takes every such size.
            None for the size that the weights were trained at.
        weights: `pretrained` for those that the name means, from the Hugging Face hub; or a file, a folder or a hub id
            of weights of this model. None for fresh ones.
        out_indices: blocks whose maps `forward` returns, counted from 0 or, when negative, from the end; they increase
            and end with the last block. Every map passes the final norm.
        model_args: arguments of timm's class that differ from what the name means, such as `{depth: 2}`.
        activation_checkpointing: see `Sapiens2`.

    Raises:
        SettingError: a setting is out of range, timm is not installed, has no such model, or the model gives no map.
        WeightsError: the weights are not found, or are not of this model.
    """

    activation_checkpointing: Checkpointing

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
        self.mean, self.std = channels(config.mean), channels(config.std)
        self.patch_size = STRIDE
        self.image_size = None if image_size is None else check_image_size(image_size, STRIDE)
        self.model_args = dict(model_args or {})
        self.weights = hub_id_of(self.name, config) if weights == PRETRAINED else weights
        self.licence = config.license if weights is not None else None
        self.activation_checkpointing = check_checkpointing(activation_checkpointing)

        device = torch.empty(0).device
        # What timm draws on the way must not shift what `init_weights` draws.
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            self.model, self.trained_patch_size = build_plain(self.name, self.image_size, self.model_args)
        self.embed_dim, self.depth = self.model.embed_dim, len(self.model.blocks)
        self.blocks = tuple(self.model.blocks)
        self.out_indices = resolve_indices(out_indices, self.depth)
        if device.type != "meta":
            self.to_empty(device=device)
            self.init_weights()
            self.load_weights()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised RGB (B, 3, H, W) -> contiguous maps (B, C, H/16, W/16) of `out_indices`, all normed.

        Raises:
            SettingError: H or W is no multiple of 16.
        """
        height, width = check_image_size(images.shape[-2:], STRIDE)
        grid = height // STRIDE, width // STRIDE
        model: Any = self.model
        x_bnc, rope = embed(model, images, grid)
        mixed = getattr(model, "rope_mixed", False)  # positions of each block's own
        norm, maps = final_norm(model), []
        for i, block in enumerate(model.blocks):
            x_bnc = run_block(block, x_bnc, rope[i] if mixed else rope, i, self.activation_checkpointing)
            if i in self.out_indices:
                patches = norm(x_bnc)[:, model.num_prefix_tokens :]
                maps.append(patches.transpose(1, 2).unflatten(2, grid).contiguous())
        return maps

    def init_weights(self) -> None:
        """Give every parameter and buffer the value that timm draws for it, in place."""
        model: Any = self.model
        model.init_weights()

    def load_weights(self) -> None:
        """Load `self.weights`, if any, strictly, and log what was loaded.

        Raises:
            WeightsError: the weights are not found, or names or shapes differ; nothing is loaded then.
        """
        if self.weights is not None:
            log.info("%s", load_timm(self.model, self.weights, self.name).summary())

    def feature_settings(self) -> dict[str, str]:
        return {"timm": self.name, "maps": str(self.out_indices), "pixels": f"{self.mean} {self.std}"}

    def layer_depth(self, name: str) -> int:
        """0 for tokens, positions and patch embedding, i + 1 for block i, depth + 1 for the final norm.

        Raises:
            KeyError: no parameter has such a name.
        """
        stage, *rest = name.removeprefix("backbone.").removeprefix("model.").split(".")
        if stage == "blocks" and rest and rest[0].isdecimal() and int(rest[0]) < self.depth:
            return int(rest[0]) + 1
        if stage in ("cls_token", "reg_token", "pos_embed", "patch_embed", "norm_pre", "rope"):
            return 0
        if stage in ("norm", "fc_norm"):
            return self.depth + 1
        raise KeyError(f"{name!r} is no parameter of {self.name}.")


def channels(values: Sequence[float]) -> tuple[float, float, float]:
    """Of RGB 0..1, as of 0..255."""
    red, green, blue = (round(value * 255, 6) for value in values)
    return red, green, blue
