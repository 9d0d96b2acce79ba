"""Models of timm (Apache-2.0) by name: which of them make a map of stride 16, and how they are built for it.

Shape suffixes: b batch, n tokens, c channels, h and w rows and columns of the patch grid.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError

STRIDE = 16  # input pixels along one side of a cell of the maps that heads take
RESAMPLED = (14,)  # patch sizes whose kernel is resampled to STRIDE
# Random changes of positions in training: they belong to pretraining, and differ from process to process.
ROPE_AUGMENTATIONS = ("shift_coords", "jitter_coords", "rescale_coords")


def import_timm() -> Any:
    """The package timm.

    Raises:
        SettingError: it is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise SettingError("TimmBackbone needs the package timm: pip install 'sapiens2-lit[timm]'") from error
    return timm


def model_config(name: str) -> Any:
    """What timm knows about a model's weights: `mean`, `std`, `license`, `hf_hub_id`, `input_size`.

    Raises:
        SettingError: timm has no such model, or no such weights of it; names the nearest ones.
    """
    timm = import_timm()
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise SettingError(_unknown(name, "timm has no such model", known))
    known = [
        one for one in timm.list_pretrained(f"{architecture}.*") if one.partition(".")[0] == architecture
    ]
    if tag and name not in known:
        raise SettingError(_unknown(name, f"timm has no weights {tag!r} of {architecture}", known))
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise SettingError(f"name: found {name!r}, of which timm does not say how images are normalized.")
    return config


def _unknown(name: str, problem: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:3]
    meant = f"; did you mean {', '.join(near)}?" if near else "."
    return f"name: found {name!r}, but {problem}{meant}"


def build_plain(
    name: str, image_size: tuple[int, int] | None, model_args: Mapping[str, Any]
) -> tuple[nn.Module, int]:
    """A vision transformer of patches of 16 pixels without its heads, on the device in use.

    Args:
        name: of timm.
        image_size: (height, width) at which positions that are learned are held; None for those of its weights.
        model_args: arguments of timm's class.

    Returns:
        The model, and the size of the patches that its weights were trained with.

    Raises:
        SettingError: it is of another kind, or does not take the arguments.
    """
    with torch.device("meta"):
        given = create(name, model_args)
    check_plain(name, given)
    patch = given.patch_embed.patch_size[0]
    if patch not in (STRIDE, *RESAMPLED) or given.patch_embed.patch_size[1] != patch:
        raise SettingError(
            f"name: {name} has patches of {patch} pixels, expected {STRIDE}, or {RESAMPLED[0]}, which are resampled: "
            f"heads take maps of stride {STRIDE}."
        )
    rows, columns = given.patch_embed.grid_size
    size = image_size or (rows * STRIDE, columns * STRIDE)
    model = create(name, {**model_args, "img_size": size, "patch_size": STRIDE, "dynamic_img_size": True})
    drop_heads(model)
    for setting in ROPE_AUGMENTATIONS:
        if hasattr(model.rope if hasattr(model, "rope") else None, setting):
            setattr(model.rope, setting, None)
            model.rope.aug_active = False
    return model, patch


def create(name: str, model_args: Mapping[str, Any]) -> Any:
    """The model with fresh weights and without a classifier."""
    timm = import_timm()
    try:
        return timm.create_model(name, pretrained=False, **{"num_classes": 0, **model_args})
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        raise SettingError(
            f"model_args: timm cannot build {name} with {dict(model_args)}: {error}"
        ) from error


def check_plain(name: str, model: nn.Module) -> None:
    """Raise SettingError unless the model is a vision transformer whose tokens are all patches of one size."""
    from timm.layers import PatchEmbed
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    ours = any(
        isinstance(model, family) and type(model)._pos_embed is family._pos_embed
        for family in (Eva, VisionTransformer)
    )
    if not (ours and isinstance(model.patch_embed, PatchEmbed)):
        raise SettingError(
            f"name: found {name!r}, which is a {type(model).__name__}; expected a plain vision transformer of timm "
            "(DINOv3, DINOv2, SigLIP2, PE, MAE and others of its classes VisionTransformer and Eva): "
            f"others give no map of stride {STRIDE}."
        )
    if not isinstance(model.patch_drop, nn.Identity | None):
        raise SettingError("model_args: found patch_drop_rate, expected none: maps have no holes.")


def drop_heads(model: Any) -> None:
    """Take away what does not lie on the way to the map, in place: no parameter stays unused."""
    model.head = nn.Identity()
    model.attn_pool = None
    if not isinstance(model.norm, nn.Identity):
        model.fc_norm = nn.Identity()


def final_norm(model: Any) -> nn.Module:
    """The norm after the last block: where it stands behind the pooling, that one; Identity where there is none."""
    norm: nn.Module = model.fc_norm if isinstance(model.norm, nn.Identity) else model.norm
    return norm


def embed(model: Any, images: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Any]:
    """Normalised RGB (B, 3, H, W) -> prefix tokens and patches (B, n, C), and their rotary positions, if any."""
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
    """Learned positions (1, n, C), resampled (bicubic, antialiased) where the grid is not the one they are held at."""
    held: Tensor | None = model.pos_embed
    at = tuple(model.patch_embed.grid_size)
    if held is None or at == grid:
        return held
    from timm.layers import resample_abs_pos_embed

    prefix = 0 if model.no_embed_class else model.num_prefix_tokens
    found: Tensor = resample_abs_pos_embed(
        held, new_size=list(grid), old_size=list(at), num_prefix_tokens=prefix
    )
    return found
