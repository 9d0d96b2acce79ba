"""Losses of point maps (B, 3, H, W) in the camera's frame, in canonical units or meters.

Terms are called as `term(points, target, valid, intrinsics)`, the term of the scale branch as `term(scale,
target_scale)`. Several compare points / d, where d is the mean z of a sample's label, so that near and far people weigh
the same.

Legend: B batch, H and W pixels; x, y, z components of points, all in one unit.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError
from sapiens2_lit.geometry import align, area_vectors, normals_support, pixel_rays
from sapiens2_lit.losses.depth import scale_invariant_log
from sapiens2_lit.losses.masked import coarsen, counted, log_tail, masked_mean, positive, prepare

_LIMIT = 4.0  # of |error| / d: above it the released losses are constant, the default ones logarithmic
_SMALLEST_AREA = (
    0.1  # share of the label's area below which a predicted surface element is shrunken rather than turned
)


class PointTerm(nn.Module, ABC):
    """`weight` times a loss of point maps, computed in float32 or better, also under autocast.

    It is the mean over the batch's images of each image's loss. An image without valid pixels has a loss of 0 with a
    gradient of 0. Released forms are means over all valid pixels of the batch. A NaN prediction at a valid pixel makes
    the loss NaN; so does a NaN at an invalid pixel in the released forms that use invalid neighbors.

    Args:
        weight: Factor of this term, 0 or more.
        released: Use the released form, where it differs.

    Raises:
        SettingError: The weight is negative or not finite.
    """

    fill_value: tuple[float, ...] | None = (0.0, 0.0, 1.0)

    def __init__(self, weight: float = 1.0, released: bool = False) -> None:
        super().__init__()
        self.weight = positive(weight, f"{type(self).__name__}: `weight`", zero=True)
        self.released = released

    def forward(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        """Return a scalar from points and target (B, 3, H, W), valid (B, 1, H, W) and intrinsics (B, 3, 3)."""
        with torch.autocast(points.device.type, enabled=False):
            points, target = prepare(points, target, valid, self.fill_value)
            return self.weight * self.value(points, target, valid, intrinsics.to(points.dtype))

    @abstractmethod
    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        """Return the loss without its weight, a scalar, from the same shapes as `forward`; subclasses define it."""

    def limited(self, error: Tensor) -> Tensor:
        """Return |error|, of the same shape, limited above 4.

        Above it the error grows as its logarithm; in the released form it is constant and has no gradient.
        """
        return error.abs().clamp(max=_LIMIT) if self.released else log_tail(error.abs(), _LIMIT)


class PointL1(PointTerm):
    """`weight` times the mean absolute error of points / d, summed over x, y, z."""

    def __init__(self, weight: float = 2.0, released: bool = False) -> None:
        super().__init__(weight, released)

    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        return masked_mean(self.limited((points - target) / mean_depth(target, valid)), valid, self.released)


class PointMultiscaleL1(PointTerm):
    """`weight` times the mean absolute error of points / d at coarse scales, summed over x, y, z, averaged over scales.

    The valid pixels of each block are averaged, and a block weighs as much as it has valid pixels. Noise averages out
    in blocks. What remains is the overall shape, which moves no single pixel much. The released form instead enlarges
    both maps by 2, which takes four times the memory and adds nothing to the finest scale.

    Args:
        weight: Factor of this term.
        factors: Block sizes in pixels; a block larger than the image averages all of it.
        released: Use the released form.

    Raises:
        SettingError: A factor is less than 2, or `factors` is empty.
    """

    def __init__(
        self, weight: float = 1.0, factors: Sequence[int] = (4, 16, 64), released: bool = False
    ) -> None:
        super().__init__(weight, released)
        if not factors or min(factors) < 2:
            raise SettingError(
                f"PointMultiscaleL1: `factors` is {list(factors)}, expected numbers of 2 or more."
            )
        self.factors = tuple(factors)
        if released:
            self.fill_value = None

    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        depth = mean_depth(target, valid)
        if self.released:
            finer = F.interpolate(
                (points - target) / depth, scale_factor=2, mode="bilinear", align_corners=False
            )
            double = valid.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            return masked_mean(self.limited(finer), double, self.released)
        total = points.new_zeros(len(points))
        for factor in self.factors:
            coarse, count = coarsen((points - target) / depth, valid, factor)
            total = total + (count * self.limited(coarse)).sum(dim=(1, 2, 3))
        return (total / counted(valid).sum(dim=(1, 2, 3)).clamp(min=1)).mean() / len(self.factors)


class PointCentroidL1(PointTerm):
    """`weight` times the mean absolute error of points / d, each side minus its centroid: shape without position."""

    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        error = (points - target) / mean_depth(target, valid)
        return masked_mean(self.limited(error - sample_mean(error, valid)), valid, self.released)


class PointSiLog(PointTerm):
    """`weight` times the scale-invariant logarithmic error of z; see `sapiens2_lit.losses.SiLog`.

    Args:
        weight: Factor of this term.
        variance: 1 to ignore scale, 0 to measure it fully.
        eps: Error below which the loss is smooth, in logarithms.
        released: Use the released form, without eps.

    Raises:
        SettingError: A setting is out of its range.
    """

    def __init__(
        self, weight: float = 1.0, variance: float = 0.5, eps: float = 1e-3, released: bool = False
    ) -> None:
        super().__init__(weight, released)
        if not 0 <= variance <= 1:
            raise SettingError(f"PointSiLog: `variance` is {variance}, expected a number from 0 to 1.")
        self.variance = variance
        self.eps = positive(eps, "PointSiLog: `eps`")

    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        eps = None if self.released else self.eps
        return scale_invariant_log(points[:, 2:], target[:, 2:], valid, self.variance, eps)


class PointIntrinsics(PointTerm):
    """`weight` times the mean of |X - Z (u - cx) / fx| + |Y - Z (v - cy) / fy|: each point lies on its pixel's ray.

    The error has the unit of the points, as in the released recipe; the target is not used.
    """

    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        rays = pixel_rays(intrinsics, (points.shape[-2], points.shape[-1]))
        return masked_mean((points[:, :2] - rays * points[:, 2:]).abs(), valid, self.released)


class PointNormal(PointTerm):
    """`weight` times the mean of 1 - cos, plus mean absolute error, between the normals of both surfaces.

    Normals come from forward differences between valid pixels. `in_place` weighs each by how well its surface element
    matches the label. Elements that are folded over, shrunken or torn get little weight, because their normals would
    get worse on the way to the right place: of neighbors that jump to and fro, three normals in four are right. The
    other terms unfold them first. An element smaller than a tenth of the label's is not scaled to unit length, since
    its gradient would have no bound.

    The released form takes normals at every valid pixel, also from invalid neighbors, repeats the last difference at
    the borders, and weighs all normals equally.

    Args:
        weight: Factor of this term.
        released: Use the released form.
    """

    def __init__(self, weight: float = 2.0, released: bool = False) -> None:
        super().__init__(weight, released)
        if released:
            self.fill_value = None

    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        surface, truth = area_vectors(points), area_vectors(target)
        if self.released:
            normal, true_normal = F.normalize(surface, dim=1), F.normalize(truth, dim=1)
        else:
            area = torch.linalg.vector_norm(truth, dim=1, keepdim=True)
            weights, valid = valid, normals_support(counted(valid)) & (area > 0)
            area = torch.where(valid, area, 1)
            surface, truth = torch.where(valid, surface, 0), torch.where(valid, truth, 0)
            own = torch.linalg.vector_norm(surface, dim=1, keepdim=True)
            normal = surface / torch.maximum(own, _SMALLEST_AREA * area)
            true_normal = truth / area
            weight = in_place(points.detach(), target, valid)
            valid = valid if weights.dtype == torch.bool else torch.where(valid, weights, 0)
        cosine = (normal * true_normal).sum(dim=1, keepdim=True)
        apart = (normal - true_normal).abs().mean(dim=1, keepdim=True)
        error = 1 - cosine + apart
        return masked_mean(error if self.released else weight * error, valid, self.released)


def in_place(points: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return how well the edges from each pixel to its next neighbors match the label's, (B, 1, H, W) in 0..1.

    1 is a perfect match, 0 an error as large as the edges' length: (1 - e² / (s l)²)², with the error e and the length
    l of both edges together (Tukey's biweight). One scale s for each sample is fitted by least squares first; all are 0
    if it is not positive.

    Args:
        points: Predicted points (B, 3, H, W).
        target: The label's points (B, 3, H, W).
        valid: Where both edges of a pixel are valid, (B, 1, H, W) bool.
    """
    own, common, true = (
        torch.where(valid, _edge_products(a, b), 0)
        for a, b in ((points, points), (points, target), (target, target))
    )
    scale = common.sum(dim=(1, 2, 3), keepdim=True) / _above_0(true.sum(dim=(1, 2, 3), keepdim=True))
    error = own - 2 * scale * common + scale**2 * true
    return torch.where(scale > 0, (1 - error / _above_0(scale**2 * true)).clamp(0, 1).square(), 0)


def _edge_products(a: Tensor, b: Tensor) -> Tensor:
    """Return scalar products of forward differences of a and b (B, 3, H, W), along x plus along y, (B, 1, H, W)."""
    right = (a.diff(dim=3) * b.diff(dim=3)).sum(dim=1, keepdim=True)
    down = (a.diff(dim=2) * b.diff(dim=2)).sum(dim=1, keepdim=True)
    return F.pad(right, (0, 1, 0, 0)) + F.pad(down, (0, 0, 0, 1))


def _above_0(values: Tensor) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).tiny)


class PointAligned(PointTerm):
    """`weight` times the mean absolute error of points / d after the best scale and shift, summed over x, y, z.

    It is for labels without metric scale: the affine-invariant loss of MoGe (arXiv:2410.19115). The alignment is solved
    for each sample and has no gradient; with absolute values in it, outliers of the label do no harm.

    Args:
        weight: Factor of this term.
        shift: Also solve for a shift along z, for labels whose zero depth is unknown.
        robust: Minimize absolute errors in the alignment instead of squares.
    """

    def __init__(self, weight: float = 1.0, shift: bool = True, robust: bool = True) -> None:
        super().__init__(weight)
        self.shift = shift
        self.robust = robust

    def value(self, points: Tensor, target: Tensor, valid: Tensor, intrinsics: Tensor) -> Tensor:
        weight = None if valid.dtype == torch.bool else valid
        found = align(
            points,
            target,
            counted(valid),
            shift="z" if self.shift else "none",
            weight=weight,
            robust=self.robust,
        )
        return masked_mean(self.limited((found.apply(points) - target) / mean_depth(target, valid)), valid)


class PointScale(nn.Module):
    """`weight` times the mean absolute error of the predicted scale, canonical focal length / fx.

    It is called as `term(scale, target_scale)` with two tensors of one shape, (B,) or (B, 1).
    """

    def __init__(self, weight: float = 4.0) -> None:
        super().__init__()
        self.weight = positive(weight, "PointScale: `weight`", zero=True)

    def forward(self, scale: Tensor, target_scale: Tensor) -> Tensor:
        """Return a scalar in float32 or better."""
        assert scale.shape == target_scale.shape, f"scale {(*scale.shape,)}, target {(*target_scale.shape,)}"
        dtype = torch.promote_types(scale.dtype, torch.float32)
        return self.weight * (scale.to(dtype) - target_scale.to(dtype)).abs().mean()


def mean_depth(target: Tensor, valid: Tensor) -> Tensor:
    """Return the mean z of each sample's valid points, (B, 1, 1, 1); 1 for a sample without any."""
    valid = counted(valid)
    depth = sample_mean(target[:, 2:], valid)
    return torch.where(valid.any(dim=3, keepdim=True).any(dim=2, keepdim=True), depth, 1)


def sample_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of each sample's valid pixels, (B, C, 1, 1); 0 for a sample without any."""
    valid = counted(valid)
    total = torch.where(valid, values, 0).sum(dim=(2, 3), keepdim=True)
    return total / valid.sum(dim=(2, 3), keepdim=True).clamp(min=1)
