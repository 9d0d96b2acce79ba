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

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import MetricCollection

_START = 3.0  # meters: a person who fills the picture


class DepthHead(DenseHead):
    """Predict depth along z, the camera's axis, at the input's size.

    For metric depth the network gives the logarithm, so that near and far are equally easy to reach. Relative depth is
    a sigmoid: 0 at the nearest valid point and 1 at the farthest; with `linear` it is the network's number itself, as
    in Sapiens v1. Labels of relative depth may have any unit and any offset, but must be above 0: the datamodule takes
    0 for no label. Relative errors such as `affine_abs_rel` are measured against the labels as given, offset included.

    Args:
        embed_dim: Channels of the backbone's feature map.
        relative: Predict relative depth; labels are scaled to 0..1 in each sample.
        decoder: `pixel_shuffle`, `deconv`, `light` or `linear`; `sapiens1` as in the released models of Sapiens v1;
            `auto` follows the weights that are loaded, and is `pixel_shuffle` without weights. No depth model of
            Sapiens2 was released.
        loss: Named terms: modules called as `term(depth, target, valid)` with three (B, 1, H, W). None: the
            scale-invariant logarithmic error (weight 1) and gradient matching (0.5).
        released_loss: Use only the scale-invariant logarithmic error, in its released form.
        linear: Relative depth is the network's number without a sigmoid, as in the released models of Sapiens v1. It
            may leave 0..1 slightly.

    Raises:
        SettingError: `loss` and `released_loss` are both given, or `relative` and `released_loss` are, or `loss` is
            empty; or `linear` is given without `relative`.
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
        """Return errors of depth as predicted, and after scale and shift are fitted.

        Metric depth is also measured after fitting the scale alone. A test adds MoGe's alignment, and for metric depth
        F1 of depth boundaries.
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
        """Update `metrics` with one batch, without samples that are not evaluated.

        Relative depth is compared with labels scaled to 0..1; metrics that fit scale and shift compare it with the
        labels as given.
        """
        if "depth" not in batch:
            return
        depth, target = self.field(outputs, batch), batch["depth"]
        valid = evaluated_pixels(valid_pixels(batch), batch)
        for name, metric in metrics.items():
            scaled = self.relative and name == "depth"
            metric.update(depth, relative_depth(target, valid) if scaled else target, valid)

    def score(self, values: Mapping[str, float]) -> float:
        """Return 1 / (1 + `abs_rel`), or 1 / (1 + `affine_abs_rel`) for relative depth."""
        return closeness(values.get(self.monitor[0], math.nan))

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return depth (B, 1, H, W) at the size of the network's input, in meters, or in 0..1 if relative.

        With `linear`, relative depth may leave 0..1 slightly.
        """
        return {"depth": self.field(outputs, batch)}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        unit = "" if self.relative else "m"
        return draw_depth(image, channels_last(prediction["depth"])[..., 0], unit=unit)


def default_terms(relative: bool, released: bool) -> Terms:
    """Return the scale-invariant error, and gradient matching unless `released`."""
    terms: Terms = {"scale_invariant": SiLog(relative=relative, released=released)}
    if not released:
        terms["gradient_matching"] = GradientMatching(relative=relative)
    return terms
