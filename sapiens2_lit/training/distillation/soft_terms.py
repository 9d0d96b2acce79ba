"""The soft form of each task: how a head learns from the outputs of another model's head of that task.

Register a soft form for another kind of head with `@soft_terms.register`: a function of a `Lesson` that returns
weighted terms. Every term is 0, with a gradient of 0, where student and teacher agree.
"""

from dataclasses import dataclass
from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.heads.albedo import AlbedoHead
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.heads.dense import at_input_size
from sapiens2_lit.heads.depth import DepthHead
from sapiens2_lit.heads.matting import MattingHead
from sapiens2_lit.heads.normal import NormalHead
from sapiens2_lit.heads.pointmap import PointmapHead
from sapiens2_lit.heads.pose import PoseHead
from sapiens2_lit.heads.segmentation import SegmentationHeadBase
from sapiens2_lit.losses import PointScale
from sapiens2_lit.losses.masked import masked_mean
from sapiens2_lit.losses.pointmap import mean_depth
from sapiens2_lit.training.distillation.vocabulary import Rows

HEATMAPS = 10.0  # as in KeypointMSE, so that labels and teacher have the same weight
_LEAST_DEPTH = 1e-3


@dataclass(frozen=True)
class Lesson:
    """What one head of the student learns from in one batch.

    Attributes:
        outputs: Raw outputs of the student's head.
        answer: Raw outputs of the teacher's head.
        teacher: The teacher's head.
        batch: The student's batch, with its images.
        valid: Where dense outputs are compared, (B, 1, H, W) bool.
        rows: The teacher's channels by name, for tasks with a vocabulary.
        temperature: Temperature of classes.
        teacher_size: (height, width) of the images that the teacher saw.
    """

    outputs: Outputs
    answer: Outputs
    teacher: Head
    batch: Batch
    valid: Tensor
    rows: Rows | None
    temperature: float
    teacher_size: tuple[int, int]


@singledispatch
def soft_terms(head: Head, lesson: Lesson) -> dict[str, Tensor]:
    """Return the soft loss terms of a head, each a scalar, the mean over the batch's images.

    Raises:
        TypeError: This kind of head has no soft form.
    """
    raise TypeError(f"{type(head).__name__} has no soft form")


def has_soft_form(head: Head) -> bool:
    """Return whether a head can be taught."""
    return soft_terms.dispatch(type(head)) is not soft_terms.dispatch(object)


def same_task(head: Head, other: Head) -> bool:
    """Return whether two heads have the same soft form."""
    return has_soft_form(head) and soft_terms.dispatch(type(head)) is soft_terms.dispatch(type(other))


@soft_terms.register
def _(head: PoseHead, lesson: Lesson) -> dict[str, Tensor]:
    """Return the squared error of heatmaps, weighted by the teacher's peak: unseen keypoints teach little."""
    own, maps = lesson.outputs, lesson.answer
    assert isinstance(own, Tensor) and isinstance(maps, Tensor) and lesson.rows is not None
    size = (lesson.batch["image"].shape[-2], lesson.batch["image"].shape[-1])
    maps = resample_heatmaps(
        lesson.rows.take(maps).float(), (own.shape[-2], own.shape[-1]), lesson.teacher_size, size
    )
    peak = maps.flatten(2).amax(dim=2).clamp(0, 1) * lesson.rows.mask(maps)
    errors = (own.float() - maps).square().mean(dim=(2, 3))
    return {"heatmap": HEATMAPS * (peak * errors).mean()}


@soft_terms.register
def _(head: SegmentationHeadBase, lesson: Lesson) -> dict[str, Tensor]:
    """Return the KL divergence of classes at a temperature, times its square (arXiv:1503.02531).

    If the teacher has more classes, the weight of a pixel is the teacher's probability of the student's classes.
    """
    assert lesson.rows is not None
    own, theirs = (at_input_size(one, lesson.batch).float() for one in (lesson.outputs, lesson.answer))
    known = lesson.rows.take(theirs)
    target = (known / lesson.temperature).log_softmax(dim=1)
    found = (own / lesson.temperature).log_softmax(dim=1)
    divergence = (target.exp() * (target - found)).sum(dim=1)
    if not lesson.rows.whole:
        divergence = divergence * lesson.rows.take(theirs.softmax(dim=1)).sum(dim=1)
    return {"kl": lesson.temperature**2 * divergence.mean()}


@soft_terms.register
def _(head: NormalHead, lesson: Lesson) -> dict[str, Tensor]:
    """Return 1 - cosine."""
    own, target = fields(head, lesson)
    return {"cosine": masked_mean(1 - F.cosine_similarity(own, target, dim=1)[:, None], lesson.valid)}


@soft_terms.register
def _(head: DepthHead, lesson: Lesson) -> dict[str, Tensor]:
    """Return the absolute error; of metric depth, divided by the teacher's mean depth of the image."""
    own, target = fields(head, lesson)
    scale = 1.0 if head.relative else depth_of(target.expand(-1, 3, -1, -1), lesson.valid)
    return {"l1": masked_mean((own - target).abs() / scale, lesson.valid)}


@soft_terms.register
def _(head: PointmapHead, lesson: Lesson) -> dict[str, Tensor]:
    """Return the absolute error of canonical points, divided by their mean depth, and of the scale to meters."""
    own, answer, teacher = lesson.outputs, lesson.answer, lesson.teacher
    assert isinstance(own, dict) and isinstance(answer, dict) and isinstance(teacher, PointmapHead)
    points, target = head.canonical(own, lesson.batch), teacher.canonical(answer, lesson.batch)
    error = (points - target).abs() / depth_of(target, lesson.valid)
    return {
        "l1": masked_mean(error, lesson.valid),
        "scale": PointScale()(own["scale"].float(), answer["scale"].float()),
    }


@soft_terms.register
def _(head: AlbedoHead, lesson: Lesson) -> dict[str, Tensor]:
    """Return the absolute error."""
    own, target = fields(head, lesson)
    return {"l1": masked_mean((own - target).abs(), lesson.valid)}


@soft_terms.register
def _(head: MattingHead, lesson: Lesson) -> dict[str, Tensor]:
    """Return the absolute error of alpha and premultiplied foreground, at all pixels, people or not."""
    own, target = fields(head, lesson)
    return {"l1": (own - target).abs().mean()}


def fields(head: Head, lesson: Lesson) -> tuple[Tensor, Tensor]:
    """Return the student's and the teacher's dense output (B, C, H, W) at the size of the student's input."""
    own = head.field(lesson.outputs, lesson.batch)  # type: ignore[operator]  # of a DenseHead
    return own, lesson.teacher.field(lesson.answer, lesson.batch)  # type: ignore[operator]


def depth_of(points: Tensor, valid: Tensor) -> Tensor:
    """Return the mean z of valid points (B, 3, H, W), above 0, (B, 1, 1, 1)."""
    return mean_depth(points, valid).clamp(min=_LEAST_DEPTH)


def resample_heatmaps(
    maps: Tensor, size: tuple[int, int], teacher_image: tuple[int, int], image: tuple[int, int]
) -> Tensor:
    """Resample heatmaps of a resized image to heatmaps of the image itself.

    Corner pixels of a heatmap lie on corner pixels of its image (`UDPHeatmapCodec`), but images are resized by their
    areas. So each pixel is looked up at the position that it came from, which keeps peaks on their points.

    Args:
        maps: (B, K, h, w), of images of size `teacher_image`.
        size: (height, width) of the wanted heatmaps.
        teacher_image: (height, width) of the resized images.
        image: (height, width) of the images.

    Returns:
        (B, K, *size).
    """
    if tuple(maps.shape[-2:]) == tuple(size) and tuple(teacher_image) == tuple(image):
        return maps
    axes = []
    for length, whole, resized in zip(size, image, teacher_image, strict=True):
        place = torch.arange(length, device=maps.device, dtype=maps.dtype) * (whole - 1) / (length - 1)
        there = (place + 0.5) * (resized / whole) - 0.5
        axes.append(there * 2 / (resized - 1) - 1)  # -1 and 1 are the corner pixels
    rows, columns = torch.meshgrid(axes[0], axes[1], indexing="ij")
    grid = torch.stack([columns, rows], dim=-1).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=True)
