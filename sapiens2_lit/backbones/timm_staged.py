"""Networks of timm in stages, ConvNeXt and Swin: the last map, of stride 32, is resampled to stride 16."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.backbones.checkpointing import Checkpointing, run_block
from sapiens2_lit.backbones.timm_models import STRIDE, create, refuse

COARSEST = 32  # stride of the last map; image sizes are multiples of it


def is_staged(model: nn.Module) -> bool:
    """Return whether a model is a ConvNeXt or a Swin."""
    from timm.models.convnext import ConvNeXt
    from timm.models.swin_transformer import SwinTransformer

    return isinstance(model, ConvNeXt | SwinTransformer)


def build_staged(
    name: str, described: Any, image_size: tuple[int, int] | None, model_args: Mapping[str, Any]
) -> Any:
    """Build a network in stages without its head, except for the norm in it, on the current device.

    Args:
        name: Name in timm.
        described: The model that the name alone means.
        image_size: (height, width) for which windows are laid out; None for the size of its weights.
        model_args: Arguments of timm's class.

    Raises:
        SettingError: Its last map has another stride, or it does not take the arguments.
    """
    if not hasattr(described, "patch_embed"):
        model = create(name, model_args)
    else:
        size = image_size or described.patch_embed.img_size
        model = create(name, model_args, img_size=size, strict_img_size=False)
    if (stride := model.feature_info[-1]["reduction"]) not in (STRIDE, COARSEST):
        raise refuse(name, model, f"whose last map has stride {stride}")
    norm = getattr(model.head, "norm", None)
    model.head = nn.ModuleDict({"norm": norm} if isinstance(norm, nn.Module) else {})
    return model


def stages_of(model: Any) -> list[Any]:
    """Return the stages of a network, in order."""
    return list(model.stages if hasattr(model, "stages") else model.layers)


def blocks_of(model: Any) -> list[nn.Module]:
    """Return all blocks, in the order in which they run."""
    return [block for stage in stages_of(model) for block in stage.blocks]


def staged_map(model: Any, images: Tensor, checkpointing: Checkpointing) -> Tensor:
    """Return the last map, normed, (B, C, H/16, W/16); a map of stride 32 is resampled, bilinear.

    Args:
        model: The model.
        images: Normalized RGB (B, 3, H, W).
        checkpointing: See `run_block`.
    """
    swin = hasattr(model, "patch_embed")
    x, index = model.patch_embed(images) if swin else model.stem(images), 0
    for stage in stages_of(model):
        x = stage.downsample(x)
        for block in stage.blocks:
            x = run_block(block, x, None, index, checkpointing)
            index += 1
    # Swin's maps are (B, rows, columns, C).
    x = model.norm(x).permute(0, 3, 1, 2) if swin else model.norm_pre(x)
    if "norm" in model.head:
        x = model.head["norm"](x)
    if model.feature_info[-1]["reduction"] == COARSEST:
        x = F.interpolate(x, scale_factor=COARSEST // STRIDE, mode="bilinear", align_corners=False)
    return x.contiguous()


def staged_depth(model: Any, name: str) -> int:
    """Return the depth of a parameter, given its name in timm; see `Backbone.layer_depth`.

    The layers that downsample the input of a stage belong to its first block.

    Raises:
        KeyError: No parameter has this name.
    """
    lengths = [len(stage.blocks) for stage in stages_of(model)]
    starts = [0, *accumulate(lengths)]
    part, *rest = name.split(".")
    if part in ("stages", "layers") and len(rest) > 1 and rest[0].isdecimal() and int(rest[0]) < len(lengths):
        start = starts[int(rest[0])]
        return start + 1 + (int(rest[2]) if rest[1] == "blocks" else 0)
    if part in ("stem", "patch_embed"):
        return 0
    if part in ("norm", "norm_pre", "head"):
        return starts[-1] + 1
    raise KeyError(name)
