"""Plain vision transformers of timm: tokens of 16 x 16 pixels through blocks of one width.

Shape suffixes: b batch, n tokens, c channels, h and w rows and columns of the patch grid.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.checkpointing import Checkpointing, run_block
from sapiens2_lit.backbones.timm_models import STRIDE, create, refuse

RESAMPLED = 14  # patch size whose kernel is resampled to STRIDE
# Random changes of positions in training. They belong to pretraining, and differ between processes.
ROPE_AUGMENTATIONS = ("shift_coords", "jitter_coords", "rescale_coords")


def is_plain(model: Any) -> bool:
    """Return whether all tokens of a model are patches of one size, behind class token and registers."""
    from timm.layers import PatchEmbed
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    known = any(
        isinstance(model, family) and type(model)._pos_embed is family._pos_embed
        for family in (Eva, VisionTransformer)
    )
    return known and isinstance(model.patch_embed, PatchEmbed)


def build_plain(
    name: str, described: Any, image_size: tuple[int, int] | None, model_args: Mapping[str, Any]
) -> Any:
    """Build a vision transformer with patches of 16 pixels and without its heads, on the current device.

    Args:
        name: Name in timm.
        described: The model that the name alone means.
        image_size: (height, width) at which learned positions are held; None for the grid of its weights.
        model_args: Arguments of timm's class.

    Raises:
        SettingError: Its patches have another size, or it does not take the arguments.
    """
    patch, (rows, columns) = described.patch_embed.patch_size, described.patch_embed.grid_size
    if patch not in ((STRIDE, STRIDE), (RESAMPLED, RESAMPLED)):
        raise refuse(name, described, f"whose patches are {patch[0]} x {patch[1]} pixels")
    size = image_size or (rows * STRIDE, columns * STRIDE)
    model = create(name, model_args, img_size=size, patch_size=STRIDE, dynamic_img_size=True)
    model.head = nn.Identity()
    model.attn_pool = None
    if not isinstance(model.norm, nn.Identity):
        model.fc_norm = nn.Identity()
    rope = getattr(model, "rope", None)
    if rope is not None and getattr(rope, "aug_active", False):
        for setting in ROPE_AUGMENTATIONS:
            setattr(rope, setting, None)
        rope.aug_active = False
    for block in model.blocks:
        # Otherwise such layers bypass their linear module, and adapters on it would do nothing.
        if getattr(getattr(block, "attn", None), "qkv_bias_separate", None) is False:
            block.attn.qkv_bias_separate = True
    return model


def final_norm(model: Any) -> nn.Module:
    """Return the norm after the last block, or the one behind the pooling; Identity if there is none."""
    norm: nn.Module = model.fc_norm if isinstance(model.norm, nn.Identity) else model.norm
    return norm


def plain_maps(
    model: Any, images: Tensor, out_indices: tuple[int, ...], checkpointing: Checkpointing
) -> list[Tensor]:
    """Return normed, contiguous maps (B, C, H/16, W/16) after some of the blocks.

    Args:
        model: The model.
        images: Normalized RGB (B, 3, H, W).
        out_indices: Blocks whose maps are returned.
        checkpointing: See `run_block`.
    """
    grid = images.shape[-2] // STRIDE, images.shape[-1] // STRIDE
    x_bnc, rope = embed(model, images, grid)
    mixed = getattr(model, "rope_mixed", False)  # each block has different positions
    norm, maps = final_norm(model), []
    for i, block in enumerate(model.blocks):
        x_bnc = run_block(block, x_bnc, rope[i] if mixed else rope, i, checkpointing)
        if i in out_indices:
            patches = norm(x_bnc)[:, model.num_prefix_tokens :]
            maps.append(patches.transpose(1, 2).unflatten(2, grid).contiguous())
    return maps


def embed(model: Any, images: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Any]:
    """Return prefix tokens and patches (B, N, C), and their rotary positions, if any.

    Args:
        model: The model.
        images: Normalized RGB (B, 3, H, W).
        grid: Rows and columns of patches.
    """
    x_bnc = model.patch_embed(images).flatten(1, 2)
    batch = x_bnc.shape[0]
    prefix = [token for token in (model.cls_token, model.reg_token) if token is not None]
    held = positions(model, grid)
    if held is not None and model.no_embed_class:
        x_bnc = x_bnc + held
    x_bnc = torch.cat([*(token.expand(batch, -1, -1) for token in prefix), x_bnc], dim=1)
    if held is not None and not model.no_embed_class:
        x_bnc = x_bnc + held
    rope = getattr(model, "rope", None)
    found = None if rope is None else rope.get_embed(shape=list(grid))
    return model.norm_pre(model.pos_drop(x_bnc)), found


def positions(model: Any, grid: tuple[int, int]) -> Tensor | None:
    """Return learned positions (1, N, C), resampled (bicubic, antialiased) if the grid differs from the model's."""
    held: Tensor | None = model.pos_embed
    at = tuple(model.patch_embed.grid_size)
    if held is None or at == grid:
        return held
    from timm.layers import resample_abs_pos_embed

    prefix = 0 if model.no_embed_class else model.num_prefix_tokens
    found: Tensor = resample_abs_pos_embed(held, list(grid), list(at), prefix)
    return found


def plain_depth(name: str, depth: int) -> int:
    """Return the depth of a parameter, given its name in timm; see `Backbone.layer_depth`.

    Raises:
        KeyError: No parameter has this name.
    """
    stage, *rest = name.split(".")
    if stage == "blocks" and rest and rest[0].isdecimal() and int(rest[0]) < depth:
        return int(rest[0]) + 1
    if stage in ("cls_token", "reg_token", "pos_embed", "patch_embed", "norm_pre", "rope"):
        return 0
    if stage in ("norm", "fc_norm"):
        return depth + 1
    raise KeyError(name)
