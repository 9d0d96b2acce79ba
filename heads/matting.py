"""Mattes: how much of each pixel a person covers, and the color of that part."""

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

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import MetricCollection


class MattingHead(DenseHead):
    """Predict alpha and premultiplied foreground at the input's size, as four sigmoids.

    A picture on background B is composite = foreground + (1 - alpha) B. Labels are alpha, and the foreground if there
    is one. A pixel whose alpha is NaN is ignored. The head does not use the batch's `valid`, which says where people
    are: a matte is also about where they are not.

    Args:
        embed_dim: Channels of the backbone's feature map.
        decoder: `pixel_shuffle` as in the released matting model, `deconv`, `light` or `linear`; `auto` follows the
            weights that are loaded, and is `pixel_shuffle` without weights.
        loss: Named terms of alpha: modules called as `term(alpha, target, valid)` with three (B, 1, H, W); a term whose
            `on_logits` is true gets the logits of alpha. None: absolute error, cross-entropy, gradient error and
            Laplacian pyramid error. No recipe was released.
        color_loss: Named terms of premultiplied rgb and alpha (B, 4, H, W), for batches with a foreground. None: the
            error of composites on black and on white. Empty: only alpha is learned.
        connectivity: Measure connectivity in validation and test, which takes 0.1 CPU seconds for an image.

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
        """Return premultiplied rgb and alpha before the sigmoid, (B, 4, H, W)."""
        return super().field(outputs, batch)

    def field(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return premultiplied rgb and alpha (B, 4, H, W) in 0..1."""
        return self.logits(outputs, batch).sigmoid()

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1)

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        logits, alpha = self.logits(outputs, batch), batch["alpha"]
        matte, valid = logits.sigmoid(), weighted_pixels(alpha.isfinite(), batch)
        terms = {
            # a saturated sigmoid is rounded to 0 or 1, where its gradient is 0
            name: term((logits if getattr(term, "on_logits", False) else matte)[:, 3:], alpha, valid)
            for name, term in self.losses.items()
        }
        if "foreground" in batch:
            target = torch.cat([batch["foreground"], alpha], dim=1)
            terms |= {name: term(matte, target, valid) for name, term in self.color_losses.items()}
        return terms

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Return SAD, MSE, gradient error and, outside training, connectivity."""
        errors = measures.MattingErrors(self.connectivity and stage != "train")
        return measures.collect({"matting": errors})

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Update `metrics` with one batch, without samples that are not evaluated."""
        if "alpha" in batch:
            valid = evaluated_pixels(batch["alpha"].isfinite(), batch)
            metrics.update(self.field(outputs, batch)[:, 3:], batch["alpha"], valid)

    def score(self, values: Mapping[str, float]) -> float:
        """Return 1 / (1 + `sad`), with `sad` in thousands of pixels."""
        return closeness(values.get("sad", math.nan))

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return alpha (B, 1, H, W) and premultiplied foreground (B, 3, H, W) in 0..1, at the network's input size."""
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
    """Return the terms of alpha: absolute error, cross-entropy, and errors of edges at every scale.

    The absolute error alone gets stuck where the sigmoid saturates; the cross-entropy does not.
    """
    return {
        "alpha": AlphaL1(),
        "alpha_cross_entropy": AlphaCrossEntropy(),
        "alpha_gradient": AlphaGradient(),
        "alpha_laplacian": AlphaLaplacian(),
    }
