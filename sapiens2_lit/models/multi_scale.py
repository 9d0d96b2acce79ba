"""Resample outputs for images of several sizes to one size.

Legend: B batch, h and w pixels of a head's output, H and W pixels of the input.
"""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.heads.base import Head, Outputs

Size = tuple[int, int]


def resample(head: Head, outputs: Outputs, size: Size, target: Size) -> Outputs:
    """Resample outputs for an input of one size to the outputs for the same view at another size.

    Args:
        head: The head.
        outputs: Its raw outputs, returned unchanged by heads without `multi_scale`.
        size: (height, width) of the input.
        target: (height, width) of the wanted input.
    """
    if not head.multi_scale or (head.top_down and size == target):
        return outputs
    assert isinstance(outputs, Tensor), "heads with multi_scale give one tensor"
    if head.top_down:
        return resample_heatmaps(outputs, size, target)
    if outputs.shape[-2:] == target:
        return outputs
    return F.interpolate(outputs, target, mode="bilinear", align_corners=False)


def resample_heatmaps(heatmaps: Tensor, size: Size, target: Size) -> Tensor:
    """Resample heatmaps for an input of one size to heatmaps for another size.

    A heatmap's corner pixels lie on the input's corner pixels (UDP), but inputs are resized by their areas: pixel x of
    the target is pixel s (x + 0.5) - 0.5.

    Args:
        heatmaps: (B, K, h, w).
        size: (height, width) of their input.
        target: (height, width) of the wanted input.
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
    """Return where `count` heatmap pixels over `target` input pixels lie on a map over `size` pixels, in -1..1."""
    pixel = torch.linspace(0, target - 1, count, device=like.device, dtype=like.dtype)
    return ((pixel + 0.5) * (size / target) - 0.5) * (2 / (size - 1)) - 1


def mean(outputs: Sequence[Outputs]) -> Outputs:
    """Return the mean of outputs of the same shape."""
    if len(outputs) == 1:
        return outputs[0]
    tensors = [value for value in outputs if isinstance(value, Tensor)]
    assert len(tensors) == len(outputs), "heads with multi_scale give one tensor"
    return reduce(torch.add, tensors) / len(tensors)
