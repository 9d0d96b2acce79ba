"""Probe keypoints of one person per picture, as heatmaps.

Legend: P probes trained side by side, B images, K keypoints, h and w heatmap pixels.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.probing.bootstrap import Statistics
from sapiens2_lit.probing.tasks import Labels, ProbeTask

_SIGMA = 1.0  # of the target, in heatmap pixels
_THRESHOLDS = {"PCK@0.1": 0.1, "PCK@0.05": 0.05}  # shares of the longer side of the person's box


class PoseProbe(ProbeTask):
    """Heatmaps trained by cross-entropy over all places; PCK as a share of the box's longer side.

    Args:
        keypoints: K.
        image_size: (height, width) of the input in pixels.
        stride: Input pixels along one heatmap pixel.
    """

    name = "pose"
    keys = ("keypoints",)
    directions: ClassVar = {"PCK@0.1": True, "PCK@0.05": True}

    def __init__(self, keypoints: int, image_size: tuple[int, int], stride: int) -> None:
        self.channels = keypoints
        self.image_size = image_size
        self.size = (-(-image_size[0] // stride), -(-image_size[1] // stride))

    def labels(self, sample: Mapping[str, Any], stride: int) -> Labels:
        scale = torch.linalg.det(sample["affine"][:, :2].double()).abs().sqrt().float()
        box = sample["box"][2:].max() * scale
        points = sample["keypoints"].float()
        height, width = self.image_size
        inside = (points[:, 0] >= 0) & (points[:, 1] >= 0) & (points[:, 0] < width) & (points[:, 1] < height)
        return {"keypoints": points[:, :2], "valid": (points[:, 2] > 0) & inside, "box": box}

    def setup(self, labels: Labels) -> Tensor:
        return torch.zeros(self.channels)

    def loss(self, outputs: Tensor, labels: Labels, generator: torch.Generator) -> Tensor:
        probes, batch = outputs.shape[:2]
        logits = F.interpolate(outputs.flatten(0, 1), self.size, mode="bilinear", align_corners=False)
        logits = logits.unflatten(0, (probes, batch)).flatten(3).log_softmax(dim=3)
        error = -(self.target(labels).flatten(2) * logits).sum(dim=3)  # (P, B, K)
        valid = labels["valid"]
        return (error * valid).sum(dim=(1, 2)) / valid.sum().clamp(min=1)

    def target(self, labels: Labels) -> Tensor:
        """Return a Gaussian around each keypoint with the sum 1, (B, K, H, W) in heatmap pixels."""
        x, y = self.places(labels["keypoints"])
        columns = torch.arange(self.size[1], device=x.device)
        rows = torch.arange(self.size[0], device=x.device)
        across = (-((columns - x[..., None]) ** 2) / (2 * _SIGMA**2)).softmax(dim=-1)
        down = (-((rows - y[..., None]) ** 2) / (2 * _SIGMA**2)).softmax(dim=-1)
        return down[..., :, None] * across[..., None, :]

    def places(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and y (...,) in heatmap pixels of points (..., 2) in input pixels."""
        height, width = self.image_size
        x = (points[..., 0] + 0.5) * (self.size[1] / width) - 0.5
        y = (points[..., 1] + 0.5) * (self.size[0] / height) - 0.5
        return x, y

    def decode(self, outputs: Tensor) -> Tensor:
        """Return x, y (B, K, 2) in input pixels: the probability-weighted mean of the 3 x 3 pixels around the best."""
        logits = F.interpolate(outputs.float(), self.size, mode="bilinear", align_corners=False)
        height, width = self.size
        best = logits.flatten(2).argmax(dim=2)
        rows = torch.arange(height, device=best.device)[:, None]
        columns = torch.arange(width, device=best.device)[None, :]
        near = ((rows - (best // width)[..., None, None]).abs() <= 1) & (
            (columns - (best % width)[..., None, None]).abs() <= 1
        )
        share = logits.masked_fill(~near, -torch.inf).flatten(2).softmax(dim=2).view_as(logits)
        x = ((share * columns).sum(dim=(2, 3)) + 0.5) * (self.image_size[1] / width) - 0.5
        y = ((share * rows).sum(dim=(2, 3)) + 0.5) * (self.image_size[0] / height) - 0.5
        return torch.stack([x, y], dim=2)

    def statistics(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        valid = labels["valid"]
        distance = (self.decode(outputs) - labels["keypoints"]).norm(dim=2) / labels["box"][:, None]
        hits = {name: (valid & (distance <= limit)).sum(dim=1) for name, limit in _THRESHOLDS.items()}
        return {"labelled": valid.sum(dim=1), **hits}

    def metrics(self, sums: Statistics) -> dict[str, Tensor]:
        return {name: sums[name][:, 0] / sums["labelled"][:, 0] for name in _THRESHOLDS}
