"""Surface normals: one unit vector for each pixel, in the camera's frame."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sapiens2_lit import metrics as measures
from sapiens2_lit.decoders import Kind, build_decoder
from sapiens2_lit.heads.base import Batch, Outputs
from sapiens2_lit.heads.dense import DenseHead, Terms, choose_terms
from sapiens2_lit.losses import NormalCosine, NormalGradient, NormalL1
from sapiens2_lit.visualization.draw_dense import channels_last, draw_normals

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import MetricCollection

_LEAST_LENGTH = 1e-12


class NormalHead(DenseHead):
    """Predict surface normals at the input's size.

    Normals are in the camera's frame: x right, y down, z away from the camera. A visible surface faces the camera: z <
    0.

    Args:
        embed_dim: Channels of the backbone's feature map.
        decoder: `pixel_shuffle` as in the released normal models, `deconv`, `light`, `linear`, or `sapiens1` as in the
            released models of Sapiens v1; `auto` follows the weights that are loaded, and is `pixel_shuffle` without
            weights.
        loss: Named terms: modules called as `term(normals, target, valid)` with (B, 3, H, W), (B, 3, H, W) and (B, 1,
            H, W). None: the released weights, 10 cosine, 1 absolute and 10 gradient error. Add `angle: {class_path:
            sapiens2_lit.losses.NormalAngle}` for the angle itself.
        released_loss: Use the default terms in their released form: means over all valid pixels of a batch.

    Raises:
        SettingError: `loss` is empty, or `loss` and `released_loss` are both given.
    """

    targets = ("normal",)
    monitor = ("mean_angle", "min")
    key = "normal"

    def __init__(
        self,
        embed_dim: int,
        decoder: Kind = "auto",
        loss: Terms | None = None,
        released_loss: bool = False,
    ) -> None:
        terms = choose_terms("NormalHead", loss, released_loss, default_terms)
        facing = (0.0, 0.0, -1.0)  # the camera
        super().__init__(build_decoder("normal", embed_dim, 3, decoder), terms, init_bias=facing)

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1) * outputs.new_tensor([-1, 1, 1])[:, None, None]

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Return metrics of the angle between prediction and label."""
        return measures.collect({"normal": measures.NormalAngles()})

    def score(self, values: Mapping[str, float]) -> float:
        """Return 1 - `mean_angle` / 180."""
        return 1 - values.get("mean_angle", math.nan) / 180

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return unit vectors (B, 3, H, W) at the size of the network's input, in the frame of its camera."""
        field = self.field(outputs, batch)
        # like F.normalize, whose norm over channels takes seven times as long on a CPU
        length = field.square().sum(dim=1, keepdim=True).sqrt()
        return {"normal": field / length.clamp(min=_LEAST_LENGTH)}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        return draw_normals(image, channels_last(prediction["normal"]))


def default_terms(released: bool) -> Terms:
    """Return the terms with the released weights; `released` also chooses the released form."""
    return {
        "cosine": NormalCosine(released=released),
        "l1": NormalL1(released=released),
        "gradient": NormalGradient(released=released),
    }
