"""Point maps: the position of each pixel in space, in meters, and the camera.

The network works in canonical units, as though one camera had taken every image: its focal length is 768 pixels at 1024
x 768. A second branch predicts the scale s = canonical focal length / fx. Meters are canonical points / s.

Legend: B batch, H and W pixels of the input, K intrinsics.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sapiens2_lit import metrics as measures
from sapiens2_lit.decoders import Kind, build_decoder, init_decoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.geometry import canonical_focal, canonical_scale, intrinsics_from_focal, recover_focal
from sapiens2_lit.heads.base import Batch, Outputs, closeness
from sapiens2_lit.heads.dense import (
    FieldHead,
    Terms,
    at_input_size,
    choose_terms,
    evaluated_pixels,
    outside_autocast,
    start_at,
    valid_pixels,
    weighted_pixels,
)
from sapiens2_lit.heads.scale_branch import build_scale_branch
from sapiens2_lit.losses import (
    PointCentroidL1,
    PointIntrinsics,
    PointL1,
    PointMultiscaleL1,
    PointNormal,
    PointScale,
    PointSiLog,
)
from sapiens2_lit.losses.masked import mean_weight
from sapiens2_lit.visualization.draw import side_by_side
from sapiens2_lit.visualization.draw_dense import channels_last, draw_depth, draw_points

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import MetricCollection

_START = (0.0, 0.0, 3.0)  # canonical: a person who fills the picture, taken with the canonical camera
_SMALLEST_SCALE = 0.05  # 20 times the canonical focal length; nobody takes pictures of people with more


class PointmapHead(FieldHead):
    """Predict points x, y, z in the camera's frame (x right, y down, z forward) at the input's size.

    Args:
        embed_dim: Channels of the backbone's feature map.
        decoder: `pixel_shuffle` as in the released point map models, `deconv`, `light` or `linear`; `auto` follows the
            weights that are loaded, and is `pixel_shuffle` without weights.
        image_size: (height, width) of the input, which sets the length of the scale branch; on the command line it is
            the data's. Released scale branches need 1024 x 768.
        patch_size: Input pixels along a cell of the feature map: 16, or 64 with the window tokenizer.
        loss: Named terms: modules called as `term(points, target, valid, intrinsics)` in canonical units. None:
            absolute errors of pixels, of coarse blocks and about the centroid, logarithmic depth, consistency with the
            camera, and normals.
        scale_weight: Weight of the scale's absolute error. Use 0 for labels without metric scale, for which there is
            `loss: {aligned: {class_path: sapiens2_lit.losses.PointAligned}}`.
        released_loss: Use the default terms in their released form.
        focal_from: `scale`: the scale branch gives the predicted focal length. `points`: it is the one that fits the
            predicted points best, with a free principal point, over the valid pixels, or over all points in front of
            the camera if the batch has no `valid`.

    Raises:
        SettingError: `loss` and `released_loss` are both given, or a setting is out of its range.
    """

    targets = ("pointmap", "intrinsics")
    monitor = ("l2", "min")
    uses_valid = True

    def __init__(
        self,
        embed_dim: int,
        decoder: Kind = "auto",
        image_size: tuple[int, int] = (1024, 768),
        patch_size: int = 16,
        loss: Terms | None = None,
        scale_weight: float = 4.0,
        released_loss: bool = False,
        focal_from: Literal["scale", "points"] = "scale",
    ) -> None:
        if patch_size < 1 or min(image_size) < patch_size:
            raise SettingError(
                f"PointmapHead: `image_size` is {list(image_size)} and `patch_size` {patch_size}, expected (height, "
                "width) of one patch or more."
            )
        terms = choose_terms("PointmapHead", loss, released_loss, default_terms)
        super().__init__(build_decoder("pointmap", embed_dim, 3, decoder))
        self.grid = (image_size[0] // patch_size, image_size[1] // patch_size)
        branch = build_scale_branch(embed_dim, self.grid)
        self.scale_conv_layers = branch.scale_conv_layers
        self.scale_final_layer = branch.scale_final_layer
        self.losses = nn.ModuleDict(terms)
        self.scale_loss = PointScale(scale_weight)
        self.focal_from = focal_from
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize as other heads do, except the last layers.

        A new head predicts a rough wall at a distance of 3 m, seen by the canonical camera.
        """
        init_decoder(self)
        start_at(self.get_submodule(self.stages[-1]), _START, std=0.25)
        start_at(self.scale_final_layer[-1], (1.0,), std=1e-2)

    def forward(self, features: list[Tensor], images: Tensor | None = None) -> Outputs:
        """Return canonical points (B, 3, H, W) as `pointmap`, and `scale` (B, 1).

        Raises:
            SettingError: The feature map does not have the size that `image_size` and `patch_size` give.
        """
        cells = features[-2 if self.takes_shared else -1]
        grid = (cells.shape[-2], cells.shape[-1])
        if grid != self.grid:
            raise SettingError(
                f"PointmapHead: found a feature map of {grid[0]} x {grid[1]} cells, expected {self.grid[0]} x "
                f"{self.grid[1]}: `image_size` / `patch_size` must be those of the images and the backbone."
            )
        points = super().forward(features, images)
        assert isinstance(points, Tensor)
        # bfloat16 has steps of 0.4 %, which would shift all points of an image and the focal length
        return {
            "pointmap": points,
            "scale": outside_autocast(self.scale_final_layer, self.scale_conv_layers(cells)),
        }

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, dict)
        points = outputs["pointmap"]
        return {**outputs, "pointmap": points.flip(-1) * points.new_tensor([-1, 1, 1])[:, None, None]}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the terms in canonical units, and `scale` over samples with any valid pixel."""
        assert isinstance(outputs, dict)
        points, intrinsics, valid = self.canonical(outputs, batch), batch["intrinsics"], valid_pixels(batch)
        weights = weighted_pixels(valid, batch)
        true_scale = canonical_scale(intrinsics, image_size(batch))
        target = true_scale[:, None, None, None] * batch["pointmap"]
        terms = {name: term(points, target, weights, intrinsics) for name, term in self.losses.items()}
        scale = torch.where(valid.flatten(1).any(dim=1), outputs["scale"].float()[:, 0], true_scale)
        if (sure := mean_weight(weights)) is not None:
            scale = torch.lerp(true_scale, scale, sure)  # its absolute error times the sample's mean weight
        return {**terms, "scale": self.scale_loss(scale, true_scale)}

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Return errors in meters.

        Outside training, also errors after an alignment, of the surface's normals and of the camera; in a test, also
        errors after MoGe's alignments.
        """
        metrics: dict[str, Any] = {"points": measures.PointErrors()}
        if stage != "train":
            metrics |= {"scale": measures.PointErrors("scale"), "affine": measures.PointErrors("affine")}
            metrics |= {"surface": measures.SurfaceAngles(), "camera": measures.CameraErrors()}
        if stage == "test":
            metrics |= {name: measures.PointErrors(name) for name in ("moge_scale", "moge_affine")}
        return measures.collect(metrics)

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Update `metrics` with one batch, without samples that are not evaluated."""
        if not all(key in batch for key in self.targets):
            return
        assert isinstance(outputs, dict)
        valid = evaluated_pixels(valid_pixels(batch), batch)
        points, scale = self.metric(outputs, batch)
        for name, metric in metrics.items():
            if name != "camera":
                metric.update(points, batch["pointmap"], valid)
        if "camera" in metrics:
            found = intrinsics_from_focal(self.focal(points, scale, batch), image_size(batch))
            own = batch.get("evaluated", torch.ones_like(scale, dtype=torch.bool))
            metrics["camera"].update(found[own], batch["intrinsics"][own], image_size(batch))

    def score(self, values: Mapping[str, float]) -> float:
        """Return 1 / (1 + `l2`), with `l2` in meters."""
        return closeness(values.get("l2", math.nan))

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the points in meters, and the camera.

        Returns:
            `pointmap` (B, 3, H, W) and `depth` (B, 1, H, W), its z, in meters at the size of the network's input;
                `focal` (B,) in pixels of the original image if the batch has `affine`, else of the input, NaN if the
                points do not determine it; `scale` (B,), canonical units per meter.
        """
        assert isinstance(outputs, dict)
        points, scale = self.metric(outputs, batch)
        focal = self.focal(points, scale, batch)
        if "affine" in batch:
            focal = focal / torch.linalg.det(batch["affine"][:, :, :2]).abs().sqrt()
        return {"pointmap": points, "depth": points[:, 2:], "focal": focal, "scale": scale}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        points = channels_last(prediction["pointmap"])
        return side_by_side([draw_depth(image, points[..., 2], unit="m"), draw_points(image, points)])

    def canonical(self, outputs: dict[str, Tensor], batch: Batch) -> Tensor:
        """Return points (B, 3, H, W) in canonical units, float32."""
        return at_input_size(outputs["pointmap"], batch).float()

    def metric(self, outputs: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Return points (B, 3, H, W) in meters, and the scale (B,), which is 0.05 or more."""
        scale = outputs["scale"].float()[:, 0].clamp(min=_SMALLEST_SCALE)
        return self.canonical(outputs, batch) / scale[:, None, None, None], scale

    def focal(self, points: Tensor, scale: Tensor, batch: Batch) -> Tensor:
        """Return the focal length (B,) in pixels of the input."""
        if self.focal_from == "scale":
            return canonical_focal(image_size(batch)) / scale
        # the principal point of a crop may lie anywhere
        return recover_focal(points, batch.get("valid", points[:, 2:] > 0), principal="free")[0]


def image_size(batch: Batch) -> tuple[int, int]:
    """Return (height, width) of the input."""
    return batch["image"].shape[-2], batch["image"].shape[-1]


def default_terms(released: bool) -> Terms:
    """Return the terms with the released weights; `released` also chooses the released form."""
    return {
        "l1": PointL1(released=released),
        "multiscale": PointMultiscaleL1(released=released),
        "centroid": PointCentroidL1(released=released),
        "silog": PointSiLog(released=released),
        "intrinsics": PointIntrinsics(released=released),
        "normal": PointNormal(released=released),
    }
