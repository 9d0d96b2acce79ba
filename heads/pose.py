"""Human pose: one heatmap for each keypoint."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from sapiens2_lit import metrics as measures
from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.decoders import Kind, build_decoder, init_decoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, DecoderHead, KnowsPeople, Outputs
from sapiens2_lit.losses import KeypointMSE
from sapiens2_lit.metrics.oks import person_score
from sapiens2_lit.visualization.draw import draw_keypoints, draw_unsure_keypoints
from sapiens2_lit.vocabularies import Skeleton, load_skeleton

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import MetricCollection

RELEASED_MAP_AREA = 256 * 192
_PCK_SHARE = 0.1  # share of PCK in the score: small, so that AP decides wherever it differs between models


class PoseHead(DecoderHead):
    """Predict keypoints of one person through heatmaps at a quarter of the input's size.

    Args:
        embed_dim: Channels of the backbone's feature map.
        skeleton: `coco17`, `coco_wholebody133`, `sociopticon308`, or a YAML file with your skeleton.
        decoder: `deconv` as in the released pose models, `pixel_shuffle`, `light`, `linear`, or `sapiens1` as in the
            released models of Sapiens v1; `auto` follows the weights that are loaded, and is `deconv` without weights.
        sigma: Standard deviation of a target's Gaussian, in heatmap pixels on the released 256 x 192 map. It is scaled
            with the size of the map, but is one pixel or more.
        loss: Named terms: modules called as `term(prediction, gx, gy, weight)`. None: the released mean squared error.
            Add `ohkm: {class_path: sapiens2_lit.losses.KeypointOHKM}` for hard keypoints.
        draw_threshold: Keypoints with a score below this are not drawn.

    Raises:
        SettingError: `sigma` is not positive.
    """

    skeleton: Skeleton
    targets = ("keypoints",)
    top_down = True
    multi_scale = True
    monitor = ("AP", "max")
    headline = ("PCK@0.1", "PCK@0.05")

    def __init__(
        self,
        embed_dim: int,
        skeleton: str | Path | Skeleton = "sociopticon308",
        decoder: Kind = "auto",
        sigma: float = 6.0,
        loss: dict[str, nn.Module] | None = None,
        draw_threshold: float = 0.3,
    ) -> None:
        if not sigma > 0:
            raise SettingError(f"PoseHead: sigma is {sigma}, expected a positive number of heatmap pixels")
        vocabulary = load_skeleton(skeleton)
        super().__init__(build_decoder("pose", embed_dim, vocabulary.num_keypoints, decoder))
        self.skeleton = vocabulary
        self.sigma = sigma
        self.draw_threshold = draw_threshold
        self.losses = nn.ModuleDict(loss or {"mse": KeypointMSE()})
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize the decoder with Kaiming normal, and the last layer near zero (Xiao et al., ECCV 2018).

        With Kaiming normal in the last layer, heatmaps would start at about 2, although targets are 0 nearly
        everywhere, and training would spend hundreds of steps on unlearning that.
        """
        init_decoder(self)
        nn.init.normal_(self.get_parameter("conv_pose.weight"), std=1e-3)

    def codec(self, heatmaps: Tensor, images: Tensor) -> UDPHeatmapCodec:
        """Return the codec between (..., h, w) heatmaps and keypoints on (..., H, W) images."""
        height, width = heatmaps.shape[-2:]
        sigma = max(1.0, self.sigma * math.sqrt(height * width / RELEASED_MAP_AREA))
        return UDPHeatmapCodec((images.shape[-2], images.shape[-1]), (height, width), sigma)

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1)[:, torch.tensor(self.skeleton.swap, device=outputs.device)]

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(outputs, Tensor)
        if batch["keypoints"].shape[1] != outputs.shape[1]:
            raise SettingError(
                f"data.skeleton: labels have {batch['keypoints'].shape[1]} keypoints, the head's {self.skeleton.name} "
                f"has {outputs.shape[1]}; give the data the skeleton of the head"
            )
        gx, gy, weight = self.codec(outputs, batch["image"]).encode_separable(batch["keypoints"])
        if "keypoint_weight" in batch:
            weight = weight * batch["keypoint_weight"]
        return {name: term(outputs, gx, gy, weight) for name, term in self.losses.items()}

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Return PCK, and OKS average precision and recall if `data` has ground truth.

        A test also reports PCK of each keypoint.
        """
        metrics: dict[str, Any] = {
            "pck": measures.PCK(names=self.skeleton.keypoints if stage == "test" else None)
        }
        truth = data.ground_truth(stage) if isinstance(data, KnowsPeople) and stage != "train" else None
        if truth is not None:
            metrics["ap"] = measures.KeypointAP(self.skeleton, truth)
        return measures.collect(metrics)

    def score(self, values: Mapping[str, float]) -> float:
        """Return 0.9 AP + 0.1 PCK (the mean over its thresholds), or PCK alone without AP.

        AP stays 0 until people are found quite well; in a short run on few images, that is the whole run. PCK still
        distinguishes such models.
        """
        shares = [value for key, value in values.items() if key.startswith("PCK@") and "/" not in key]
        pck = sum(shares) / len(shares) if shares else math.nan
        ap = values.get("AP", math.nan)
        if math.isnan(ap) or math.isnan(pck):
            return pck if math.isnan(ap) else ap
        return (1 - _PCK_SHARE) * ap + _PCK_SHARE * pck

    def can_evaluate(self, batch: Batch) -> bool:
        """Return whether the batch has keypoints, or people from a detector, on which AP is measured."""
        return "sample_index" in batch or super().can_evaluate(batch)

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        assert isinstance(outputs, Tensor)
        keypoints = self.codec(outputs, batch["image"]).decode(outputs)
        if "keypoints" in batch:
            zoom = torch.linalg.det(batch["affine"][:, :, :2]).abs().sqrt()
            metrics["pck"].update(keypoints, batch["keypoints"], batch["box"][:, 2:].amax(1) * zoom)
        if "ap" in metrics and "image_id" in batch:
            original = to_original(keypoints, batch["affine"])
            metrics["ap"].update(original, batch["image_id"], batch["box_score"], batch["sample_index"])

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return keypoints (B, K, 3) as x, y, score, and a score (B,) for each person.

        Keypoints are in pixels of the original image if the batch has `affine`, else in pixels of the input.
        """
        assert isinstance(outputs, Tensor)
        keypoints = self.codec(outputs, batch["image"]).decode(outputs)
        box_score = batch.get("box_score", keypoints.new_ones(len(keypoints)))
        if "affine" in batch:
            keypoints = to_original(keypoints, batch["affine"])
        return {"keypoints": keypoints, "score": person_score(keypoints, box_score)}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        keypoints = prediction["keypoints"].cpu().float().numpy()
        return draw_keypoints(image, keypoints, self.skeleton, threshold=self.draw_threshold)

    def draw_unsure(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        keypoints = prediction["keypoints"].cpu().float().numpy()
        return draw_unsure_keypoints(image, keypoints, self.skeleton, threshold=self.draw_threshold)

    def remark(self, prediction: dict[str, Tensor]) -> str:
        sure = int((prediction["keypoints"][:, 2] >= self.draw_threshold).sum())
        if sure == len(prediction["keypoints"]):
            return ""
        return f"{sure or 'none'} of {len(prediction['keypoints'])} above {self.draw_threshold:g}"


def to_original(keypoints: Tensor, affine: Tensor) -> Tensor:
    """Map keypoints (B, K, 3) from input pixels to original pixels; `affine` (B, 2, 3) maps original to input."""
    linear, shift = affine[:, :, :2], affine[:, :, 2]
    points = torch.linalg.solve(linear.float(), (keypoints[..., :2] - shift[:, None]).transpose(1, 2).float())
    return torch.cat([points.transpose(1, 2), keypoints[..., 2:]], dim=2)
