"""Mattes: how much of each pixel is person, and of what color that part is."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sapiens2_lit import metrics as measures
from sapiens2_lit.decoders import Kind, build_decoder
from sapiens2_lit.heads.base import Batch, Outputs, closeness
from sapiens2_lit.heads.dense import DenseHead, Terms, choose_terms, evaluated_pixels, weighted_pixels
from sapiens2_lit.losses import AlphaCrossEntropy, AlphaGradient, AlphaL1, AlphaLaplacian, CompositeL1
from sapiens2_lit.visualization.draw_dense import channels_last, draw_matte

if TYPE_CHECKING:  # it takes seconds to import, and prediction has no metrics
    from torchmetrics import MetricCollection


class MattingHead(DenseHead):
    """Alpha and premultiplied foreground at the input's size, four sigmoids: composite = foreground + (1 - alpha) B.

    Labels are alpha, and foreground where there is one. An alpha that is NaN does not count. The batch's `valid` plays
    no part: it says where people are, and a matte is about where they are not, too.

    Args:
        embed_dim: channels of the backbone's feature map.
        decoder: `pixel_shuffle` as in the released matting model, `deconv`, `light`, or `linear`;
            `auto` for what its weights have, without weights `pixel_shuffle`.
        loss: named terms of alpha, modules called as `term(alpha, target, valid)` with three (B, 1, H, W), or, where
            their `on_logits` is true, with the logits of alpha; the default is absolute error, cross-entropy,
            gradient and Laplacian pyramid error. No recipe was released.
        color_loss: named terms of (B, 4, H, W) premultiplied rgb and alpha, for batches with a foreground; the default
            is the error of composites on black and on white. Empty for none: then only alpha is learned.
        connectivity: measure connectivity in validation and test, which takes the CPU 0.1 s for an image.

    Raises:
        SettingError: `loss` is empty.
    """

    targets = ("alpha",)
    monitor = ("sad", "min")
    key = "alpha"
    uses_valid = False

    def __init__(
        self,
        embed_dim: int,
        decoder: Kind = "auto",
        loss: Terms | None = None,
        color_loss: Terms | None = None,
        connectivity: bool = True,
    ) -> None:
        terms = choose_terms("MattingHead", loss, False, lambda _: default_terms())
        super().__init__(
            build_decoder("matting", embed_dim, 4, decoder), terms, init_bias=(0.0, 0.0, 0.0, 0.0)
        )
        self.color_losses = torch.nn.ModuleDict(
            {"composite": CompositeL1()} if color_loss is None else color_loss
        )
        self.connectivity = connectivity

    def logits(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the field (B, 4, H, W) before its sigmoid."""
        return super().field(outputs, batch)

    def field(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Premultiplied rgb and alpha (B, 4, H, W) in 0..1."""
        return self.logits(outputs, batch).sigmoid()

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1)

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        logits, alpha = self.logits(outputs, batch), batch["alpha"]
        matte, valid = logits.sigmoid(), weighted_pixels(alpha.isfinite(), batch)
        terms = {
            # a sigmoid that is sure of itself is rounded to 0 or 1, from where no gradient leads back
            name: term((logits if getattr(term, "on_logits", False) else matte)[:, 3:], alpha, valid)
            for name, term in self.losses.items()
        }
        if "foreground" in batch:
            target = torch.cat([batch["foreground"], alpha], dim=1)
            terms |= {name: term(matte, target, valid) for name, term in self.color_losses.items()}
        return terms

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """SAD, MSE, gradient and, outside training, connectivity."""
        errors = measures.MattingErrors(self.connectivity and stage != "train")
        return measures.collect({"matting": errors})

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Take one batch into `metrics`, but for samples that another process counts."""
        if "alpha" in batch:
            valid = evaluated_pixels(batch["alpha"].isfinite(), batch)
            metrics.update(self.field(outputs, batch)[:, 3:], batch["alpha"], valid)

    def score(self, values: Mapping[str, float]) -> float:
        """1 / (1 + `sad`), in thousands of pixels."""
        return closeness(values.get("sad", math.nan))

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Alpha (B, 1, H, W) and premultiplied foreground (B, 3, H, W), 0..1, at the size of the network's input."""
        matte = self.field(outputs, batch)
        return {"alpha": matte[:, 3:], "foreground": matte[:, :3]}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        alpha = channels_last(prediction["alpha"])
        if "foreground" in prediction:
            return draw_matte(channels_last(prediction["foreground"]), alpha)
        return draw_matte(image / 255 * alpha, alpha)

    def counted_pixels(self, batch: Batch) -> Tensor | None:
        return batch["alpha"].isfinite() if "alpha" in batch else None


def default_terms() -> Terms:
    """Of alpha, twice, since absolute errors alone get stuck, and of its edges at every scale."""
    return {
        "alpha": AlphaL1(),
        "alpha_cross_entropy": AlphaCrossEntropy(),
        "alpha_gradient": AlphaGradient(),
        "alpha_laplacian": AlphaLaplacian(),
    }
