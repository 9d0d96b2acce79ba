"""Albedo: the color of a surface without light and shadow."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sapiens2_lit import metrics as measures
from sapiens2_lit.decoders import Kind, build_decoder
from sapiens2_lit.heads.base import Batch, Outputs
from sapiens2_lit.heads.dense import DenseHead, Terms, choose_terms
from sapiens2_lit.losses import AlbedoChromaticity, AlbedoGradient, AlbedoL1
from sapiens2_lit.visualization.draw_dense import channels_last, draw_beside

if TYPE_CHECKING:  # it takes seconds to import, and prediction has no metrics
    from torchmetrics import MetricCollection


class AlbedoHead(DenseHead):
    """Predict sRGB albedo in 0..1 at the input's size.

    The network's raw values may leave the range during training; predictions are clamped.

    Args:
        embed_dim: Channels of the backbone's feature map.
        decoder: `pixel_shuffle` (with RMSNorm, as in the released recipe, whose weights were never published),
            `deconv`, `light` or `linear`; `auto` follows the weights that are loaded, and is `pixel_shuffle` without
            weights.
        loss: Named terms: modules called as `term(albedo, target, valid)` with (B, 3, H, W), (B, 3, H, W) and (B, 1, H,
            W). None: absolute error (weight 2), gradient error (2) and chromaticity error (1).
        released_loss: Use the default terms in their released form, which clamps the prediction inside the chromaticity
            and averages over all valid pixels of a batch.

    Raises:
        SettingError: `loss` and `released_loss` are both given, or `loss` is empty.
    """

    targets = ("albedo",)
    monitor = ("psnr", "max")
    key = "albedo"

    def __init__(
        self,
        embed_dim: int,
        decoder: Kind = "auto",
        loss: Terms | None = None,
        released_loss: bool = False,
    ) -> None:
        terms = choose_terms("AlbedoHead", loss, released_loss, default_terms)
        super().__init__(build_decoder("albedo", embed_dim, 3, decoder), terms, init_bias=(0.5, 0.5, 0.5))

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1)

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Return PSNR, SSIM and errors, with and without a correction of brightness."""
        return measures.collect({"albedo": measures.AlbedoErrors()})

    def score(self, values: Mapping[str, float]) -> float:
        """Return 1 - `rmse`, which ranks models as `psnr` does."""
        return 1 - values.get("rmse", math.nan)

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return sRGB (B, 3, H, W) in 0..1 at the size of the network's input."""
        return {"albedo": self.field(outputs, batch).clamp(0, 1)}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        return draw_beside(image, channels_last(prediction["albedo"]))


def default_terms(released: bool) -> Terms:
    """Return the terms with the released weights; `released` also chooses the released form."""
    return {
        "l1": AlbedoL1(released=released),
        "gradient": AlbedoGradient(released=released),
        "chromaticity": AlbedoChromaticity(released=released),
    }
