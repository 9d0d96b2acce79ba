"""Human pose: one heatmap a keypoint."""

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

if TYPE_CHECKING:  # it takes seconds to import, and prediction has no metrics
    from torchmetrics import MetricCollection

RELEASED_MAP_AREA = 256 * 192
_PCK_SHARE = 0.1  # of the score: little, so that AP decides where it tells models apart


class PoseHead(DecoderHead):
    """Keypoints of one person through heatmaps at a quarter of the input's size.

    Args:
        embed_dim: channels of the backbone's feature map.
        skeleton: `coco17`, `coco_wholebody133`, `sociopticon308`, or a YAML file of your own.
        decoder: `deconv` as in the released pose models, `pixel_shuffle`, `light`, `linear`,
            or `sapiens1` as in those of Sapiens v1;
            `auto` for what its weights have, without weights `deconv`.
        sigma: standard deviation of a target's Gaussian in heatmap pixels on the released 256 x 192 map; on
            maps of another size it is scaled along, but never below one pixel.
        loss: named terms, modules called as `term(prediction, gx, gy, weight)`; the default is the released
            mean squared error. Add `ohkm: {class_path: sapiens2_lit.losses.KeypointOHKM}` for hard keypoints.
        draw_threshold: keypoints that score below it are not drawn.
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
        """Kaiming for the decoder; the last layer starts near zero (Xiao et al., ECCV 2018).

        With Kaiming there too, heatmaps start with values of about 2 where targets are 0 nearly everywhere, and
        the first hundreds of steps go into unlearning them.
        """
        init_decoder(self)
        nn.init.normal_(self.get_parameter("conv_pose.weight"), std=1e-3)

    def codec(self, heatmaps: Tensor, images: Tensor) -> UDPHeatmapCodec:
        """Return the codec between (.., h, w) heatmaps and keypoints on (.., H, W) images."""
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
        """PCK, in a test of each keypoint, too; where `data` has ground truth, OKS average precision and recall."""
        metrics: dict[str, Any] = {
            "pck": measures.PCK(names=self.skeleton.keypoints if stage == "test" else None)
        }
        truth = data.ground_truth(stage) if isinstance(data, KnowsPeople) and stage != "train" else None
        if truth is not None:
            metrics["ap"] = measures.KeypointAP(self.skeleton, truth)
        return measures.collect(metrics)

    def score(self, values: Mapping[str, float]) -> float:
        """0.9 AP + 0.1 PCK, the mean over its thresholds; PCK alone where there is no AP.

        AP is 0 until people are found quite well, for all of a short run on few images: PCK tells these apart.
        """
        shares = [value for key, value in values.items() if key.startswith("PCK@") and "/" not in key]
        pck = sum(shares) / len(shares) if shares else math.nan
        ap = values.get("AP", math.nan)
        if math.isnan(ap) or math.isnan(pck):
            return pck if math.isnan(ap) else ap
        return (1 - _PCK_SHARE) * ap + _PCK_SHARE * pck

    def can_evaluate(self, batch: Batch) -> bool:
        """People from a detector have no keypoints, but average precision is measured on them."""
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
        """Keypoints (B, K, 3) as x, y, score and a score (B,) for each person.

        In pixels of the original image where the batch has the `affine` that led to the input, else of the input.
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
    """Keypoints (B, K, 3) from input pixels to original pixels; `affine` (B, 2, 3) leads the other way."""
    linear, shift = affine[:, :, :2], affine[:, :, 2]
    points = torch.linalg.solve(linear.float(), (keypoints[..., :2] - shift[:, None]).transpose(1, 2).float())
    return torch.cat([points.transpose(1, 2), keypoints[..., 2:]], dim=2)
