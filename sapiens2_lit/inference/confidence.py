"""Measure how sure a head is of each pixel.

Classes have a probability. Fields have none; instead, the prediction for the image is compared with the prediction for
its mirror image, mirrored back. The result is 1 where both agree, whatever the ground truth is: it measures doubt, not
error.

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
    """Return the kind of confidence that a head's labels have.

    `peak` of heatmaps, the largest `softmax` of classes, agreement with the mirrored image (`flip`) of fields; without
    mirrored images 1 wherever there is a label (`known`).

    Args:
        head: The head.
        flip: Whether mirrored images are used.
    """
    if head.top_down:
        return "peak"
    if isinstance(head, SegmentationHeadBase):
        return "softmax"
    key = head.targets[0] if head.targets else ""
    return "flip" if flip and head.has_flip_test and key in _AGREEMENT else "known"


def confidence_of(head: Head, outputs: Outputs, pair: Pair | None, batch: Batch) -> Tensor:
    """Return the confidence of a dense head at each pixel, (B, h, w), 0..1.

    Args:
        head: The head.
        outputs: Its raw outputs, averaged over flip and scales, (B, ...).
        pair: Raw outputs for the images and for their mirror images; None without flip test.
        batch: As for `Head.predict`.
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
    """Return the cosine of the angle between unit vectors, which is negative beyond 90 degrees."""
    return (a * b).sum(dim=1)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return the smaller of two depths (or of the z of points) divided by the larger; 0 behind the camera."""
    near, far = torch.minimum(a[:, -1], b[:, -1]), torch.maximum(a[:, -1], b[:, -1])
    return torch.where(near > 0, near / far.clamp(min=_TINY), 0)


def _closeness(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 minus the largest difference over channels, for values in 0..1."""
    return 1 - (a - b).abs().amax(dim=1)


_AGREEMENT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "normal": _cosine,
    "depth": _ratio,
    "relative": _closeness,
    "pointmap": _ratio,
    "albedo": _closeness,
    "alpha": _closeness,
}
