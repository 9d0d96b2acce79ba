"""Point maps: where in space each pixel is, in metres, and the camera that saw it.

The network works in canonical units: as if a camera of one focal length (768 pixels at 1024 x 768) had taken every
image. A second branch predicts the scale s = canonical focal length / fx; metres are canonical points / s.

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

if TYPE_CHECKING:  # it takes seconds to import, and prediction has no metrics
    from torchmetrics import MetricCollection

_START = (0.0, 0.0, 3.0)  # canonical: a person who fills the picture, taken with the canonical camera
_SMALLEST_SCALE = 0.05  # a camera 20 times as long as the canonical one; smaller is no camera of people


class PointmapHead(FieldHead):
    """Points x, y, z of the camera's frame (x right, y down, z forward) at the input's size.

    Args:
        embed_dim: channels of the backbone's feature map.
        decoder: `pixel_shuffle` as in the released point map models, `deconv`, `light`, or `linear`;
            `auto` for what its weights have, without weights `pixel_shuffle`.
        image_size: (height, width) of the input, on which the scale branch's length depends; on the command line it is
            the data's. Released scale branches belong to 1024 x 768.
        patch_size: input pixels along a cell of the feature map: 16, or 64 with the window tokenizer.
        loss: named terms, modules called as `term(points, target, valid, intrinsics)` in canonical units; the default
            has absolute errors of pixels, of coarse blocks and about the centroid, logarithmic depth, consistency with
            the camera, and normals.
        scale_weight: of the scale's absolute error; 0 for labels without metric scale, such as those that
            `loss: {aligned: {class_path: sapiens2_lit.losses.PointAligned}}` takes.
        released_loss: the default terms in their released form.
        focal_from: `scale`: the predicted focal length is what the scale branch says; `points`: what fits the
            predicted points best, with the principal point anywhere, over the pixels that `valid` counts, or all
            in front of the camera.

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
        """Kaiming, but for the last layers: a fresh head sees a rough wall 3 m away, with the canonical camera."""
        init_decoder(self)
        start_at(self.get_submodule(self.stages[-1]), _START, std=0.25)
        start_at(self.scale_final_layer[-1], (1.0,), std=1e-2)

    def forward(self, features: list[Tensor], images: Tensor | None = None) -> Outputs:
        """Canonical points (B, 3, H, W) as `pointmap`, and `scale` (B, 1).

        Raises:
            SettingError: the feature map is of another size than `image_size` says.
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
        # bfloat16 has steps of 0.4 %: all points of an image would be off by that, and the focal length
        return {
            "pointmap": points,
            "scale": outside_autocast(self.scale_final_layer, self.scale_conv_layers(cells)),
        }

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, dict)
        points = outputs["pointmap"]
        return {**outputs, "pointmap": points.flip(-1) * points.new_tensor([-1, 1, 1])[:, None, None]}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Terms in canonical units, and `scale`, for samples with any pixel that counts."""
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
        """Errors in metres; outside training also after an alignment, of the surface's normals and of the camera.

        In a test also after MoGe's alignments.
        """
        metrics: dict[str, Any] = {"points": measures.PointErrors()}
        if stage != "train":
            metrics |= {"scale": measures.PointErrors("scale"), "affine": measures.PointErrors("affine")}
            metrics |= {"surface": measures.SurfaceAngles(), "camera": measures.CameraErrors()}
        if stage == "test":
            metrics |= {name: measures.PointErrors(name) for name in ("moge_scale", "moge_affine")}
        return measures.collect(metrics)

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Take one batch into `metrics`, but for samples that another process counts."""
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
        """1 / (1 + `l2`), in metres."""
        return closeness(values.get("l2", math.nan))

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return what the points are in metres, and what the camera was.

        `pointmap` (B, 3, H, W) and `depth` (B, 1, H, W), its z, in metres at the size of the network's input; `focal`
        (B,), in pixels of the original image where the batch has the `affine` that led to the input, else of the
        input, NaN where the points do not tell; `scale` (B,), canonical units in a metre.
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
        """Points (B, 3, H, W) in canonical units, float32."""
        return at_input_size(outputs["pointmap"], batch).float()

    def metric(self, outputs: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Points (B, 3, H, W) in metres and scale (B,), never below 0.05."""
        scale = outputs["scale"].float()[:, 0].clamp(min=_SMALLEST_SCALE)
        return self.canonical(outputs, batch) / scale[:, None, None, None], scale

    def focal(self, points: Tensor, scale: Tensor, batch: Batch) -> Tensor:
        """(B,) focal length in pixels of the input."""
        if self.focal_from == "scale":
            return canonical_focal(image_size(batch)) / scale
        # a crop's principal point may be anywhere
        return recover_focal(points, batch.get("valid", points[:, 2:] > 0), principal="free")[0]


def image_size(batch: Batch) -> tuple[int, int]:
    """(height, width) of the input."""
    return batch["image"].shape[-2], batch["image"].shape[-1]


def default_terms(released: bool) -> Terms:
    """Return the released weights; `released` chooses their form too."""
    return {
        "l1": PointL1(released=released),
        "multiscale": PointMultiscaleL1(released=released),
        "centroid": PointCentroidL1(released=released),
        "silog": PointSiLog(released=released),
        "intrinsics": PointIntrinsics(released=released),
        "normal": PointNormal(released=released),
    }
