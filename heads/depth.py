"""Depth along z: metric, or relative to the nearest and the farthest point."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sapiens2_lit import metrics as measures
from sapiens2_lit.decoders import Kind, build_decoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.geometry import relative_depth
from sapiens2_lit.heads.base import Batch, Outputs, closeness
from sapiens2_lit.heads.dense import (
    DenseHead,
    Terms,
    choose_terms,
    evaluated_pixels,
    valid_pixels,
)
from sapiens2_lit.losses import GradientMatching, SiLog
from sapiens2_lit.visualization.draw_dense import channels_last, draw_depth

if TYPE_CHECKING:  # it takes seconds to import, and prediction has no metrics
    from torchmetrics import MetricCollection

_START = 3.0  # metres: a person who fills the picture


class DepthHead(DenseHead):
    """Depth along the line of sight's axis, z, at the input's size.

    Of metric depth the network gives the logarithm: near and far are as easily reached. Relative depth is a sigmoid, 0
    at the nearest point that counts and 1 at the farthest; or as in Sapiens v1 the network's number itself. Its labels
    may be of any unit and offset, above 0: the datamodule takes 0 for no label. Ratios among the metrics, as
    `affine_abs_rel`, are to the labels as they are, offset included.

    Args:
        embed_dim: channels of the backbone's feature map.
        relative: predict relative depth; labels are scaled to 0..1 sample by sample.
        decoder: `pixel_shuffle`, `deconv`, `light` or `linear`; `sapiens1` as in the released models of Sapiens v1;
            `auto` for what its weights have, without weights `pixel_shuffle`. No depth model of the second generation
            was released.
        loss: named terms, modules called as `term(depth, target, valid)` with three (B, 1, H, W); the default is the
            scale-invariant logarithmic error, and 0.5 of gradient matching.
        released_loss: the scale-invariant logarithmic error alone, in its released form.
        linear: relative depth is the network's number, without a sigmoid, as in the released models of Sapiens v1: near
            0 and 1 it may lie outside.

    Raises:
        SettingError: `loss` and `released_loss` are both given, or `relative` and `released_loss` are; or `linear`
            without `relative`.
    """

    targets = ("depth",)
    key = "depth"

    def __init__(
        self,
        embed_dim: int,
        relative: bool = False,
        decoder: Kind = "auto",
        loss: Terms | None = None,
        released_loss: bool = False,
        linear: bool = False,
    ) -> None:
        if linear and not relative:
            raise SettingError(
                "DepthHead: linear is true, which is a form of relative depth: set relative: true"
            )
        terms = choose_terms(
            "DepthHead", loss, released_loss, lambda released: default_terms(relative, released)
        )
        start = (0.5 if linear else 0.0) if relative else math.log(_START)
        super().__init__(build_decoder("depth", embed_dim, 1, decoder), terms, init_bias=(start,))
        self.relative, self.linear = relative, linear
        self.monitor = ("affine_abs_rel" if relative else "abs_rel", "min")

    def field(self, outputs: Outputs, batch: Batch) -> Tensor:
        field = super().field(outputs, batch)
        if self.linear:
            return field
        return field.sigmoid() if self.relative else field.exp()

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1)

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Errors as they are and after scale and shift are fitted; of metric depth also after the scale alone is.

        In a test also after MoGe's alignment, and of metric depth F1 of boundaries.
        """
        metrics: dict[str, Any] = {"depth": measures.DepthErrors(), "affine": measures.DepthErrors("affine")}
        if not self.relative:
            metrics["scale"] = measures.DepthErrors("scale")
        if stage == "test":
            metrics["moge_affine"] = measures.DepthErrors("moge_affine")
            if not self.relative:
                metrics["moge_scale"] = measures.DepthErrors("moge_scale")
                metrics["boundary"] = measures.BoundaryF1()
        return measures.collect(metrics)

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Take one batch into `metrics`, but for samples that another process counts.

        Relative depth is measured against labels scaled to 0..1, and fitted to the labels as they are.
        """
        if "depth" not in batch:
            return
        depth, target = self.field(outputs, batch), batch["depth"]
        valid = evaluated_pixels(valid_pixels(batch), batch)
        for name, metric in metrics.items():
            scaled = self.relative and name == "depth"
            metric.update(depth, relative_depth(target, valid) if scaled else target, valid)

    def score(self, values: Mapping[str, float]) -> float:
        """1 / (1 + `abs_rel`), of relative depth 1 / (1 + `affine_abs_rel`)."""
        return closeness(values.get(self.monitor[0], math.nan))

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Depth (B, 1, H, W) at the size of the network's input: metres, or 0..1 if relative (about, if linear)."""
        return {"depth": self.field(outputs, batch)}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        unit = "" if self.relative else "m"
        return draw_depth(image, channels_last(prediction["depth"])[..., 0], unit=unit)


def default_terms(relative: bool, released: bool) -> Terms:
    """Return the scale-invariant error, and gradients unless released."""
    terms: Terms = {"scale_invariant": SiLog(relative=relative, released=released)}
    if not released:
        terms["gradient_matching"] = GradientMatching(relative=relative)
    return terms
