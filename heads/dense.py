"""What heads of dense tasks share: maps at the input's size, valid pixels, a sensible start.

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

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import MetricCollection

Terms = dict[str, nn.Module]


class FieldHead(DecoderHead):
    """A head whose last layer runs outside autocast.

    bfloat16 has steps of 1 cm at a distance of 2 m, which would be visible in surfaces.
    """

    def predictor(self, x: Tensor) -> Tensor:
        """Apply the last layer to `x`, (B, C, h, w), in the precision of its weights."""
        last = self.get_submodule(self.stages[-1])
        assert isinstance(last, nn.Conv2d)
        with torch.autocast(x.device.type, enabled=False):
            return super().predictor(x.to(last.weight.dtype))


class DenseHead(FieldHead):
    """A head whose decoder gives one map (B, C, H, W) and learns from the valid pixels.

    Args:
        decoder: The network.
        losses: Named terms, called as `term(field, target, valid)`.
        init_bias: What the decoder of a new head predicts, one value for each channel.

    Attributes:
        key: Name of the map in batches and in predictions.
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
        """Initialize as other heads do, but let the last layer predict about `init_bias` everywhere.

        With Kaiming normal in the last layer, training would spend hundreds of steps on unlearning large random values.
        """
        super().init_weights()
        start_at(self.get_submodule(self.stages[-1]), self.init_bias)

    def field(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the map (B, C, H, W) that losses and metrics see: float32, at the input's size."""
        return at_input_size(outputs, batch).float()

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        field, valid = self.field(outputs, batch), weighted_pixels(valid_pixels(batch), batch)
        return {name: term(field, batch[self.key], valid) for name, term in self.losses.items()}

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Update `metrics` with one batch, without samples that are not evaluated."""
        if self.key in batch:
            valid = evaluated_pixels(valid_pixels(batch), batch)
            metrics.update(self.predict(outputs, batch)[self.key], batch[self.key], valid)


def choose_terms(head: str, loss: Terms | None, released: bool, default: Callable[[bool], Terms]) -> Terms:
    """Return the terms of `loss`, or the default ones if it is None.

    Args:
        head: Name of the head, for errors.
        loss: Named terms; None for the default ones.
        released: Whether to use the released form of the default terms.
        default: Gives the default terms for `released`.

    Raises:
        SettingError: `loss` and `released` are both given, or `loss` is empty.
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
    """Apply a layer to `x`, of any shape, in the precision of the layer's weights."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(next(layer.parameters()).dtype))


def start_at(layer: nn.Module, values: Sequence[float], std: float = 0.01) -> None:
    """Initialize a last layer so that it predicts about `values`.

    Features are random at first. Their contribution is noise from pixel to pixel that training has to unlearn, so keep
    it small.

    Args:
        layer: A convolution or a linear layer with a bias.
        values: One for each output channel.
        std: Standard deviation of the weights.
    """
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=std)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(values))


def at_input_size(outputs: Outputs, batch: Batch) -> Tensor:
    """Resize a map (B, C, h, w) to the images' size (B, C, H, W), if a backbone's stride is not 16."""
    assert isinstance(outputs, Tensor)
    size = batch["image"].shape[-2:]
    if outputs.shape[-2:] == size:
        return outputs
    return F.interpolate(outputs, size, mode="bilinear", align_corners=False)


def valid_pixels(batch: Batch) -> Tensor:
    """Return where dense labels are valid, (B, 1, H, W) bool; everywhere if the batch has no `valid`."""
    image = batch["image"]
    return batch.get("valid", torch.ones_like(image[:, :1], dtype=torch.bool))


def weighted_pixels(valid: Tensor, batch: Batch) -> Tensor:
    """Return what losses take as `valid`, (B, 1, H, W): bool, or float if the batch has a `weight` for pixels."""
    return torch.where(valid, batch["weight"], 0) if "weight" in batch else valid


def evaluated_pixels(valid: Tensor, batch: Batch) -> Tensor:
    """Return `valid`, (B, 1, H, W), without the samples that are not evaluated."""
    return valid & batch["evaluated"][:, None, None, None] if "evaluated" in batch else valid
