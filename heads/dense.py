"""What heads of dense fields share: maps of the input's size, pixels that count, a sensible start.

Legend: B batch, C channels, H and W pixels of the input.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.decoders import LightDecoder, SharedPart
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, DecoderHead, Outputs

if TYPE_CHECKING:  # it takes seconds to import, and prediction has no metrics
    from torchmetrics import MetricCollection

Terms = dict[str, nn.Module]


class FieldHead(DecoderHead):
    """A head whose last layer stays out of autocast: bfloat16 has steps of 1 cm at 2 m, which surfaces would show."""

    def predictor(self, x: Tensor) -> Tensor:
        """Return the last layer, in its own precision."""
        last = self.get_submodule(self.stages[-1])
        assert isinstance(last, nn.Conv2d)
        with torch.autocast(x.device.type, enabled=False):
            return super().predictor(x.to(last.weight.dtype))


class DenseHead(FieldHead):
    """A head whose decoder gives one field (B, C, H, W), learned where `valid` says so.

    Args:
        decoder: the network.
        losses: named terms, called as `term(field, target, valid)`.
        init_bias: what the decoder of a fresh head predicts, one value a channel.

    Attributes:
        key: of the field, in batches and in predictions.
    """

    key: str
    multi_scale = True
    uses_valid = True

    def __init__(
        self, decoder: nn.Sequential | LightDecoder | SharedPart, losses: Terms, init_bias: Sequence[float]
    ) -> None:
        super().__init__(decoder)
        self.losses = nn.ModuleDict(losses)
        self.init_bias = tuple(init_bias)
        self.init_weights()

    def init_weights(self) -> None:
        """Kaiming, fan-out, zero biases; the last layer so that a fresh head predicts about `init_bias` everywhere.

        With Kaiming there too, the first hundreds of steps would go into unlearning large random values.
        """
        super().init_weights()
        start_at(self.get_submodule(self.stages[-1]), self.init_bias)

    def field(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the field (B, C, H, W) that losses and metrics see, float32, at the input's size."""
        return at_input_size(outputs, batch).float()

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        field, valid = self.field(outputs, batch), weighted_pixels(valid_pixels(batch), batch)
        return {name: term(field, batch[self.key], valid) for name, term in self.losses.items()}

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Take one batch into `metrics`, but for samples that another process counts."""
        if self.key in batch:
            valid = evaluated_pixels(valid_pixels(batch), batch)
            metrics.update(self.predict(outputs, batch)[self.key], batch[self.key], valid)


def choose_terms(head: str, loss: Terms | None, released: bool, default: Callable[[bool], Terms]) -> Terms:
    """Return the terms of `loss`, or where it is None the default ones, in the released form or not.

    Raises:
        SettingError: both were asked for, or `loss` is empty.
    """
    if loss is None:
        return default(released)
    if released:
        raise SettingError(
            f"{head}: `released_loss` has no effect beside `loss`; give `released: true` to its terms."
        )
    if not loss:
        raise SettingError(f"{head}: `loss` is empty, expected one term or more, or null for the default.")
    return loss


def outside_autocast(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what a layer makes of `x` in the precision of its own weights."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(next(layer.parameters()).dtype))


def start_at(layer: nn.Module, values: Sequence[float], std: float = 0.01) -> None:
    """Let a last layer predict about `values`, one a channel; `std` of its weights is how much the rest may add.

    Small: what random features add is noise from pixel to pixel, which training would have to unlearn first.
    """
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=std)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(values))


def at_input_size(outputs: Outputs, batch: Batch) -> Tensor:
    """A field (B, C, H, W) of the images' size, which a backbone of another stride than 16 does not give by itself."""
    assert isinstance(outputs, Tensor)
    size = batch["image"].shape[-2:]
    if outputs.shape[-2:] == size:
        return outputs
    return F.interpolate(outputs, size, mode="bilinear", align_corners=False)


def valid_pixels(batch: Batch) -> Tensor:
    """(B, 1, H, W) bool: where dense labels count; everywhere, if the batch does not say."""
    image = batch["image"]
    return batch.get("valid", torch.ones_like(image[:, :1], dtype=torch.bool))


def weighted_pixels(valid: Tensor, batch: Batch) -> Tensor:
    """`valid` (B, 1, H, W) for losses: the weights of the pixels that count, float, where the batch has such."""
    return torch.where(valid, batch["weight"], 0) if "weight" in batch else valid


def evaluated_pixels(valid: Tensor, batch: Batch) -> Tensor:
    """`valid` (B, 1, H, W) without the samples that another process counts."""
    return valid & batch["evaluated"][:, None, None, None] if "evaluated" in batch else valid
