"""Define what a probe learns for each task: targets, loss, and sums of each test image from which metrics follow.

Legend: P probes trained side by side, B images, K channels, h and w cells, H and W label pixels, M pixels of a loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.probing.bootstrap import Statistics
from sapiens2_lit.probing.sums import confusion, mean_sums, overlap, strided

Labels = dict[str, Tensor]  # one row per image
_PIXELS = 512  # per image, at which a step's loss is computed


class ProbeTask(ABC):
    """One task.

    Attributes:
        name: As in results.json.
        keys: That a sample must have.
        directions: Metrics by name, and whether more is better; the first one chooses the learning rate.
        channels: K.
    """

    name: str
    keys: tuple[str, ...]
    directions: ClassVar[Mapping[str, bool]]
    channels: int

    @abstractmethod
    def labels(self, sample: Mapping[str, Any], stride: int) -> Labels:
        """Return what is kept of one sample of the data, at every `stride`-th pixel."""

    @abstractmethod
    def setup(self, labels: Labels) -> Tensor:
        """Learn scales from the training labels; return the probes' initial bias (K,)."""

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Labels, generator: torch.Generator) -> Tensor:
        """Return the loss of each probe, (P,), for outputs (P, B, K, h, w)."""

    @abstractmethod
    def statistics(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Return sums of each image, (B, ...), for outputs (B, K, h, w)."""

    @abstractmethod
    def metrics(self, sums: Statistics) -> dict[str, Tensor]:
        """Return metrics (R,) of sums over images (R, ...)."""

    def goodness(self, sums: Statistics) -> Tensor:
        """Return the first metric (R,), negated if less is better."""
        name, more = next(iter(self.directions.items()))
        value = self.metrics(sums)[name]
        return value if more else -value

    def counted(self, labels: Labels) -> Tensor:
        """Return which images have a valid label, (N,) bool."""
        return labels["valid"].flatten(1).any(dim=1)


class DenseTask(ProbeTask):
    """A task with a label at each pixel, whose loss is computed at a few pixels of each image."""

    def loss(self, outputs: Tensor, labels: Labels, generator: torch.Generator) -> Tensor:
        probes, batch = outputs.shape[:2]
        valid = labels["valid"].flatten(1)
        height, width = labels["valid"].shape[-2:]
        weights = (
            valid.float() + (~valid.any(dim=1, keepdim=True)).float()
        )  # an image without labels: any pixel
        places = torch.multinomial(weights.cpu(), _PIXELS, replacement=True, generator=generator)
        places = places.to(valid.device)
        x = ((places % width) + 0.5) * (2 / width) - 1
        y = ((places // width) + 0.5) * (2 / height) - 1
        grid = torch.stack([x, y], dim=-1)[:, :, None].expand(batch, -1, -1, -1).repeat(probes, 1, 1, 1)
        found = F.grid_sample(outputs.flatten(0, 1), grid, padding_mode="border", align_corners=False)
        found = found[..., 0].unflatten(0, (probes, batch))  # (P, B, K, M)
        target = self.target(labels).flatten(2)
        target = target.gather(2, places[:, None].expand(-1, target.shape[1], -1))
        counts = valid.gather(1, places)
        error = self.error(found, target) * counts
        return error.sum(dim=(1, 2)) / counts.sum().clamp(min=1)

    def statistics(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        size = labels["valid"].shape[-2:]
        outputs = F.interpolate(outputs.float(), size, mode="bilinear", align_corners=False)
        return self.sums(outputs, labels)

    @abstractmethod
    def target(self, labels: Labels) -> Tensor:
        """Return the target (B, C, H, W) of the loss."""

    @abstractmethod
    def error(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the error (P, B, M) of outputs (P, B, K, M) for a target (B, C, M)."""

    @abstractmethod
    def sums(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Return sums of each image, (B, ...), for outputs (B, K, H, W) at the labels' size."""


class FieldTask(DenseTask):
    """A task of real numbers, standardized by the training labels, trained with the absolute error."""

    key: str
    logarithmic = False

    def __init__(self) -> None:
        self.center = torch.zeros(self.channels, 1, 1)
        self.scale = torch.ones(self.channels, 1, 1)

    def labels(self, sample: Mapping[str, Any], stride: int) -> Labels:
        valid = strided(sample["valid"][0], stride)
        field = strided(sample[self.key], stride)
        return {"field": torch.where(valid, field, 0), "valid": valid}

    def setup(self, labels: Labels) -> Tensor:
        field, valid = self.raw(labels), labels["valid"]
        for channel in range(self.channels):
            values = field[:, channel][valid].double()
            self.center[channel] = values.mean()
            self.scale[channel] = values.std().clamp(min=1e-6)
        return torch.zeros(self.channels)

    def raw(self, labels: Labels) -> Tensor:
        """Return the labels before standardization, (B, K, H, W)."""
        field = labels["field"].float()
        return torch.where(labels["valid"][:, None], field, 1).log() if self.logarithmic else field

    def target(self, labels: Labels) -> Tensor:
        return (self.raw(labels) - self.center.to(labels["field"].device)) / self.scale.to(
            labels["field"].device
        )

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return outputs (B, K, H, W) in the unit of the labels."""
        field = outputs * self.scale.to(outputs.device) + self.center.to(outputs.device)
        return field.exp() if self.logarithmic else field

    def error(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).abs().mean(dim=2)


class SegmentationProbe(DenseTask):
    """One class per pixel, trained by cross-entropy; mIoU and mAcc over all test pixels."""

    name = "segmentation"
    keys = ("segmentation",)
    directions: ClassVar = {"mIoU": True, "mAcc": True}

    def __init__(self, classes: int) -> None:
        self.channels = classes

    def labels(self, sample: Mapping[str, Any], stride: int) -> Labels:
        found = strided(sample["segmentation"], stride)
        valid = found != 255
        return {"classes": torch.where(valid, found, 0).to(torch.uint8), "valid": valid}

    def setup(self, labels: Labels) -> Tensor:
        counts = torch.bincount(labels["classes"][labels["valid"]].long(), minlength=self.channels)
        return ((counts + 1) / (counts.sum() + self.channels)).log()

    def target(self, labels: Labels) -> Tensor:
        return labels["classes"].long()[:, None]

    def error(self, outputs: Tensor, target: Tensor) -> Tensor:
        wanted = target[:, 0].expand(outputs.shape[0], -1, -1)
        return -outputs.log_softmax(dim=2).gather(2, wanted[:, :, None])[:, :, 0]

    def sums(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        return {
            "confusion": confusion(outputs.argmax(dim=1), labels["classes"], labels["valid"], self.channels)
        }

    def metrics(self, sums: Statistics) -> dict[str, Tensor]:
        return overlap(sums["confusion"])


class NormalProbe(FieldTask):
    """Surface normals, trained by the cosine; mean angle in degrees, and the share below 22.5."""

    name = "normal"
    key = "normal"
    keys = ("normal",)
    directions: ClassVar = {"mean_angle": False, "within@22.5deg": True}
    channels = 3

    def setup(self, labels: Labels) -> Tensor:
        mean = labels["field"].float().sum(dim=(0, 2, 3)) / labels["valid"].sum()
        return F.normalize(mean, dim=0)

    def error(self, outputs: Tensor, target: Tensor) -> Tensor:
        return 1 - F.cosine_similarity(outputs, target.expand_as(outputs), dim=2)

    def sums(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        from sapiens2_lit.metrics.normal import angle_between

        valid = labels["valid"]
        angle = angle_between(outputs, labels["field"])[:, 0]
        return {
            "pixels": valid.sum(dim=(1, 2)),
            "angle": torch.where(valid, angle, 0).sum(dim=(1, 2)),
            "within": (valid & (angle < 22.5)).sum(dim=(1, 2)),
        }

    def metrics(self, sums: Statistics) -> dict[str, Tensor]:
        pixels = sums["pixels"][:, 0]
        return {"mean_angle": sums["angle"][:, 0] / pixels, "within@22.5deg": sums["within"][:, 0] / pixels}


class AlbedoProbe(FieldTask):
    """Albedo in 0..1 sRGB; mean absolute error."""

    name = "albedo"
    key = "albedo"
    keys = ("albedo",)
    directions: ClassVar = {"mae": False}
    channels = 3

    def sums(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        error = (self.predicted(outputs).clamp(0, 1) - labels["field"]).abs().mean(dim=1)
        return mean_sums(error, labels["valid"], "error")

    def metrics(self, sums: Statistics) -> dict[str, Tensor]:
        return {"mae": sums["error"][:, 0] / sums["pixels"][:, 0]}


class DepthProbe(FieldTask):
    """Depth along z in the unit of the labels, trained as its logarithm; relative error, and the share within 1.25."""

    name = "depth"
    key = "depth"
    keys = ("depth",)
    directions: ClassVar = {"abs_rel": False, "delta1": True}
    channels = 1
    logarithmic = True

    def sums(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        valid = labels["valid"]
        true = torch.where(valid, labels["field"][:, 0], 1)
        found = self.predicted(outputs)[:, 0]
        ratio = torch.maximum(found / true, true / found)
        near = (valid & (ratio < 1.25)).sum(dim=(1, 2))
        return {**mean_sums((found - true).abs() / true, valid, "relative"), "near": near}

    def metrics(self, sums: Statistics) -> dict[str, Tensor]:
        pixels = sums["pixels"][:, 0]
        return {"abs_rel": sums["relative"][:, 0] / pixels, "delta1": sums["near"][:, 0] / pixels}


class PointmapProbe(FieldTask):
    """Points in meters in front of a known camera, trained in canonical units; mean distance to the labels (L2)."""

    name = "pointmap"
    key = "pointmap"
    keys = ("pointmap", "intrinsics")
    directions: ClassVar = {"l2": False}
    channels = 3

    def labels(self, sample: Mapping[str, Any], stride: int) -> Labels:
        from sapiens2_lit.geometry import canonical_scale

        found = super().labels(sample, stride)
        size = (sample["pointmap"].shape[-2], sample["pointmap"].shape[-1])
        scale = canonical_scale(sample["intrinsics"][None], size)[0]
        return {**found, "field": found["field"] * scale, "scale": scale}

    def sums(self, outputs: Tensor, labels: Labels) -> dict[str, Tensor]:
        distance = (self.predicted(outputs) - labels["field"]).square().sum(dim=1).sqrt()
        return mean_sums(distance / labels["scale"][:, None, None], labels["valid"], "distance")

    def metrics(self, sums: Statistics) -> dict[str, Tensor]:
        return {"l2": sums["distance"][:, 0] / sums["pixels"][:, 0]}
