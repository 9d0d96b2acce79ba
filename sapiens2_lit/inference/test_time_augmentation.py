"""Test-time augmentation: outputs averaged over mirrored images and images of several sizes.

Legend: B batch, h and w pixels of a head's output, H and W pixels of the input.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head, Outputs, average
from sapiens2_lit.inference.model import InferenceModel

Size = tuple[int, int]
Render = Callable[[Size], Tensor]  # of a batch of views at a size: RGB uint8 (B, 3, H, W)

log = logging.getLogger(__name__)


def scaled_sizes(image_size: Size, scales: Sequence[float], patch: int) -> list[Size]:
    """The input's size times each scale, as multiples of the patch, each once.

    Raises:
        SettingError: no scale, or one that is not positive or leaves less than a patch.
    """
    if not scales or not all(0 < scale <= 8 for scale in scales):
        raise SettingError(f"scales: found {list(scales)}, expected one or more factors above 0, at most 8.")
    sizes = [
        (round(image_size[0] * scale / patch) * patch, round(image_size[1] * scale / patch) * patch)
        for scale in scales
    ]
    for scale, size in zip(scales, sizes, strict=True):
        if min(size) < patch:
            raise SettingError(
                f"scales: {scale} of {image_size[0]} x {image_size[1]} is less than a patch of {patch} pixels."
            )
    return list(dict.fromkeys(sizes))


def warn_of_heads_left_out(model: InferenceModel, sizes: Sequence[Size], flip: bool) -> None:
    """Say which heads the chosen averages leave alone."""
    if len(sizes) > 1 or sizes[0] != model.image_size:
        for name, head in model.named_heads():
            if not head.multi_scale:
                log.warning("scales: the head %s predicts at the size of the input alone.", name)
    if flip:
        for name, head in model.named_heads():
            if type(head).unflip is Head.unflip:
                log.warning("flip: the head %s has no flip test; it predicts from the image alone.", name)


def evaluate(
    model: InferenceModel,
    names: Sequence[str],
    images: Tensor,
    render: Render,
    sizes: Sequence[Size],
    flip: bool,
) -> dict[str, Outputs]:
    """Raw outputs of the heads called `names`, float32, of one batch of views.

    Each size is one pass of the backbone for all heads, a second one with `flip`. Heads whose outputs cannot be
    averaged over sizes take the input's own.

    Args:
        model: backbone and heads.
        names: which heads.
        images: the views at the input's own size, RGB uint8 (B, 3, H, W).
        render: the views at another size.
        sizes: to average over.
        flip: average with the mirrored images.
    """
    heads = {name: head for name, head in model.named_heads() if name in names}
    single = {name: head for name, head in heads.items() if not head.multi_scale}
    several = {name: head for name, head in heads.items() if head.multi_scale}
    found: dict[str, list[Outputs]] = {name: [] for name in heads}
    for size in dict.fromkeys([*(sizes if several else []), *([model.image_size] if single else [])]):
        chosen = (several if size in sizes else {}) | (single if size == model.image_size else {})
        for name, outputs in run_heads(
            model, chosen, images if size == model.image_size else render(size), flip
        ).items():
            found[name].append(resample(heads[name], outputs, size, model.image_size))
    return {name: mean(outputs) for name, outputs in found.items()}


def run_heads(
    model: InferenceModel, heads: Mapping[str, Head], images: Tensor, flip: bool
) -> dict[str, Outputs]:
    """Raw outputs of some heads for images (B, 3, H, W), averaged with those of the mirrored ones if `flip`."""
    outputs = run_once(model, heads, images)
    if flip and any(type(head).unflip is not Head.unflip for head in heads.values()):
        for name, flipped in run_once(model, heads, images.flip(-1)).items():
            mirrored = heads[name].unflip(flipped)
            if mirrored is not None:
                outputs[name] = average(outputs[name], mirrored)
    return outputs


def run_once(model: InferenceModel, heads: Mapping[str, Head], images: Tensor) -> dict[str, Outputs]:
    features = model.features(images)
    with model.autocast():
        outputs = {name: head(features) for name, head in heads.items()}
    return {name: in_float32(value) for name, value in outputs.items()}


def in_float32(outputs: Outputs) -> Outputs:
    if isinstance(outputs, dict):
        return {key: value.float() for key, value in outputs.items()}
    return outputs.float()


def resample(head: Head, outputs: Outputs, size: Size, target: Size) -> Outputs:
    """Outputs for an input of `size` as those for the same view at the size `target`."""
    if not head.multi_scale or (head.top_down and size == target):
        return outputs
    assert isinstance(outputs, Tensor), "heads that say multi_scale give one tensor"
    if head.top_down:
        return resample_heatmaps(outputs, size, target)
    if outputs.shape[-2:] == target:
        return outputs
    return F.interpolate(outputs, target, mode="bilinear", align_corners=False)


def resample_heatmaps(heatmaps: Tensor, size: Size, target: Size) -> Tensor:
    """Heatmaps (B, K, h, w) for an input of `size` as they are for one of `target`.

    A heatmap's corner pixels lie on the input's corner pixels (UDP), while the inputs themselves are resized by their
    areas: pixel x of the target is pixel s (x + 0.5) - 0.5.
    """
    height, width = (round(n * t / s) for n, s, t in zip(heatmaps.shape[-2:], size, target, strict=True))
    y = _places(height, target[0], size[0], heatmaps)
    x = _places(width, target[1], size[1], heatmaps)
    grid = torch.stack([x[None, :].expand(height, -1), y[:, None].expand(-1, width)], dim=-1)
    return F.grid_sample(
        heatmaps,
        grid.expand(len(heatmaps), -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )


def _places(count: int, target: int, size: int, like: Tensor) -> Tensor:
    """Where `count` heatmap pixels over `target` input pixels lie on a map over `size` ones, from -1 to 1."""
    pixel = torch.linspace(0, target - 1, count, device=like.device, dtype=like.dtype)
    return ((pixel + 0.5) * (size / target) - 0.5) * (2 / (size - 1)) - 1


def mean(outputs: Sequence[Outputs]) -> Outputs:
    """Mean of outputs of the same form."""
    if len(outputs) == 1:
        return outputs[0]
    tensors = [value for value in outputs if isinstance(value, Tensor)]
    assert len(tensors) == len(outputs), "heads that say multi_scale give one tensor"
    return reduce(torch.add, tensors) / len(tensors)
