"""How sure a head is of each pixel, from what it answers for an image and for the image's mirror image.

Classes have a probability of their own. Fields have none: how far the answer for the mirrored image, mirrored back,
differs from that for the image stands in for it. It is 1 where both agree, whatever the truth is: a measure of doubt,
not of error.

Legend: B views, h and w pixels of the input.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.heads.dense import at_input_size
from sapiens2_lit.heads.segmentation import SegmentationHeadBase

Pair = tuple[Outputs, Outputs]  # raw outputs for an image, and for its mirror image, mirrored back
Measure = Literal["softmax", "peak", "flip", "known"]

_TINY = 1e-6


def measure_of(head: Head, flip: bool) -> Measure:
    """Return what the confidence of a head's labels is.

    `peak` of heatmaps, the largest `softmax` of classes, agreement with the mirrored image (`flip`) of fields; of
    fields without mirrored images 1 wherever there is a label (`known`).

    Args:
        head: the head.
        flip: the mirrored images are looked at, too.
    """
    if head.top_down:
        return "peak"
    if isinstance(head, SegmentationHeadBase):
        return "softmax"
    key = head.targets[0] if head.targets else ""
    return "flip" if flip and head.has_flip_test and key in _AGREEMENT else "known"


def confidence_of(head: Head, outputs: Outputs, pair: Pair | None, batch: Batch) -> Tensor:
    """(B, h, w), 0..1, of a dense head.

    Args:
        head: the head.
        outputs: its raw outputs, averaged as they are used.
        pair: those for the images and their mirror images; None where these were not looked at.
        batch: as of `Head.predict`.
    """
    if isinstance(head, SegmentationHeadBase):
        return at_input_size(outputs, batch).float().softmax(dim=1).amax(dim=1)
    image = batch["image"]
    if pair is None or measure_of(head, flip=True) != "flip":
        return torch.ones(len(image), *image.shape[-2:], device=image.device)
    key = head.targets[0]
    plain, mirrored = (head.predict(one, batch)[key].float() for one in pair)
    agreement = _AGREEMENT["relative" if head.relative else key]
    found = agreement(plain, mirrored)
    return torch.where(found.isfinite(), found, 0).clamp(0, 1)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between unit vectors; 0 from 90 degrees on."""
    return (a * b).sum(dim=1)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return the smaller of two depths over the larger, of points that of their z; 0 behind the camera."""
    near, far = torch.minimum(a[:, -1], b[:, -1]), torch.maximum(a[:, -1], b[:, -1])
    return torch.where(near > 0, near / far.clamp(min=_TINY), 0)


def _closeness(a: Tensor, b: Tensor) -> Tensor:
    """1 minus the largest difference of a channel, of values 0..1."""
    return 1 - (a - b).abs().amax(dim=1)


_AGREEMENT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "normal": _cosine,
    "depth": _ratio,
    "relative": _closeness,
    "pointmap": _ratio,
    "albedo": _closeness,
    "alpha": _closeness,
}
