"""Errors of point maps: the points, the surface's normals, the camera.

Legend: B batch, H and W rows and columns.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.geometry import field_of_view, normals_from_points
from sapiens2_lit.geometry.normals import area_vectors
from sapiens2_lit.metrics.alignment import Alignment, aligned, named
from sapiens2_lit.metrics.normal import NormalAngles
from sapiens2_lit.metrics.sums import RunningSums, check_maps

_AXES = ("x_mae", "y_mae", "z_mae")
_POINT_DELTA, _DEPTH_DELTA = 0.25, 1.25


class PointErrors(RunningSums):
    """Errors of points in the unit of the labels, meters, over all valid pixels of all images.

    Results:
        l2: Mean distance between a point and its label.
        rmse: Root of the mean squared distance.
        x_mae, y_mae, z_mae: Mean absolute error along each axis of the camera.
        within@5cm, ...: Share in 0..1 of points that are closer than that to their labels.
        point_rel: Mean of the distance divided by the label's distance from the camera.
        point_delta1: Share of points whose distance is less than a quarter of the smaller distance from the camera, the
        label's or the prediction's (MoGe, arXiv:2410.19115).
        depth_abs_rel: Mean of |z - label| / label.
        depth_delta1: Share of pixels where the larger z is less than 1.25 times the smaller one; points behind the
        camera are wrong.
    All are NaN if no pixel was valid. The released evaluation uses canonical points (`s` times meters, without the
    scale branch) and calls their unit sometimes centimeters, sometimes meters; for such points, this class gives its
    numbers.

    Args:
        alignment: What is fitted to each sample's label first: `scale` or `affine` (scale and translation) by least
            squares, `moge_scale` or `moge_affine` by the weighted absolute error of MoGe. Results are then called
            `scale_l2`, `moge_affine_l2`, and so on.
        thresholds: In meters, one `within@` result for each.
    """

    def __init__(self, alignment: Alignment = "none", thresholds: Sequence[float] = (0.05, 0.1, 0.2)) -> None:
        self.within = {f"within@{100 * threshold:g}cm": threshold for threshold in thresholds}
        relative = ("point_rel", "point_delta1", "depth_abs_rel", "depth_delta1")
        self.means = ("l2", *_AXES, *self.within, *relative)
        super().__init__(("pixels", "squared", *self.means))
        self.alignment = alignment

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add one batch of points (B, 3, H, W), over the pixels where `valid` (B, 1, H, W) is true."""
        check_maps(prediction, target, valid, channels=3)
        target = torch.where(valid, target.float(), 1)
        prediction = aligned(prediction.float(), target, valid, self.alignment)
        error = prediction - target
        distance = _length(error)
        from_camera = _length(target)
        nearer = torch.minimum(from_camera, _length(prediction))
        z, true_z = prediction[:, 2:], target[:, 2:]
        ratio = torch.maximum(z / true_z, true_z / z)
        self.add(
            {
                "pixels": valid.sum(),
                "l2": self.masked(distance, valid),
                "squared": self.masked(distance**2, valid),
                **{name: self.masked(error[:, i : i + 1].abs(), valid) for i, name in enumerate(_AXES)},
                **{name: (valid & (distance < limit)).sum() for name, limit in self.within.items()},
                "point_rel": self.masked(distance / from_camera, valid),
                "point_delta1": (valid & (distance < _POINT_DELTA * nearer)).sum(),
                "depth_abs_rel": self.masked(error[:, 2:].abs() / true_z, valid),
                "depth_delta1": (valid & (z > 0) & (ratio < _DEPTH_DELTA)).sum(),
            }
        )

    def compute(self) -> dict[str, Tensor]:
        total = self.total()
        results = {name: total[name] / total["pixels"] for name in self.means}  # 0 / 0 is NaN, as documented
        return named(self.alignment, {**results, "rmse": (total["squared"] / total["pixels"]).sqrt()})


class SurfaceAngles(NormalAngles):
    """Angles between the normals of predicted and true surfaces: `surface_mean_angle` and so on, see `NormalAngles`.

    Normals come from central differences between valid points, which do not change with a mirrored image. The released
    evaluation applies Sobel's 5 x 5 filter to valid and invalid points, with reflected borders, where the surface has
    no direction and the error is 90 degrees: `difference="sobel"`.

    Args:
        difference: `central`, `forward` or `sobel`.
        thresholds: In degrees, one `surface_within@` result for each.
        bin_width: Bin width of the median's histogram, in degrees.
    """

    def __init__(
        self,
        difference: Literal["central", "forward", "sobel"] = "central",
        thresholds: Sequence[float] = (5, 7.5, 11.25, 22.5, 30),
        bin_width: float = 0.05,
    ) -> None:
        super().__init__(thresholds, bin_width, prefix="surface_")
        self.difference = difference

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add one batch of points (B, 3, H, W) where `valid` (B, 1, H, W) is true and a normal exists."""
        check_maps(prediction, target, valid, channels=3)
        prediction, target = prediction.float(), target.float()
        if self.difference == "sobel":
            super().update(_sobel_normals(prediction), _sobel_normals(target), valid)
        else:
            normals, known = normals_from_points(target, valid, self.difference)
            super().update(area_vectors(prediction, self.difference), normals, known)


class CameraErrors(RunningSums):
    """Errors of the camera that a point map implies, averaged over images.

    Results: `focal_rel`, |focal length - label| / label along x; `fov_x_error` and `fov_y_error`, the absolute errors
    of the horizontal and vertical field of view in degrees; `focal_failed`, the share in 0..1 of images whose points
    gave no focal length (NaN), which the other results leave out. NaN without any image.
    """

    def __init__(self) -> None:
        super().__init__(("images", "failed", "focal_rel", "fov_x_error", "fov_y_error"))

    def update(self, prediction: Tensor, target: Tensor, size: tuple[int, int]) -> None:
        """Add one batch of intrinsics (B, 3, 3), in pixels.

        Args:
            prediction: Recovered from the points, for instance by `geometry.recover_focal`; NaN where that failed.
            target: The labels.
            size: (height, width) of the images.
        """
        assert prediction.shape == target.shape == (len(target), 3, 3), f"{prediction.shape}, {target.shape}"
        prediction, target = prediction.float(), target.float()
        focal, true_focal = prediction[:, 0, 0], target[:, 0, 0]
        found = prediction.isfinite().all(dim=(1, 2))
        angles = torch.rad2deg((field_of_view(prediction, size) - field_of_view(target, size)).abs())
        errors = torch.stack([(focal - true_focal).abs() / true_focal, *angles.unbind(dim=1)])
        focal_rel, fov_x, fov_y = torch.where(found, errors, 0).sum(dim=1, dtype=self.sums.dtype)
        counts = {"images": found.new_tensor(len(found), dtype=torch.int64), "failed": (~found).sum()}
        self.add({**counts, "focal_rel": focal_rel, "fov_x_error": fov_x, "fov_y_error": fov_y})

    def compute(self) -> dict[str, Tensor]:
        total = self.total()
        found = total["images"] - total["failed"]
        results = {name: total[name] / found for name in ("focal_rel", "fov_x_error", "fov_y_error")}
        return {**results, "focal_failed": total["failed"] / total["images"]}


def _length(vectors: Tensor) -> Tensor:
    """Return the length (B, 1, H, W) of vectors (B, 3, H, W)."""
    return vectors.square().sum(dim=1, keepdim=True).sqrt()


def _sobel_normals(points: Tensor) -> Tensor:
    """Return vectors along the normals of points (B, 3, H, W), by Sobel's 5 x 5 filter with reflected borders.

    Differences are taken before sums, so that they are exactly zero across a border.
    """
    padded = F.pad(points, [2] * 4, mode="reflect")
    return torch.linalg.cross(_sobel(padded, -2, -1), _sobel(padded, -1, -2), dim=1)


def _sobel(padded: Tensor, along: int, across: int) -> Tensor:
    """Return the derivative along one axis, smoothed across it, without the two pixels of padding on each side."""
    a, b, _, c, d = (padded.narrow(along, i, padded.shape[along] - 4) for i in range(5))
    slope = (d - a) + 2 * (c - b)
    a, b, middle, c, d = (slope.narrow(across, i, slope.shape[across] - 4) for i in range(5))
    return (a + d) + 4 * (b + c) + 6 * middle
