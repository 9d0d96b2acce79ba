"""What the losses of dense fields share: pixels that do not count, masked means, differences, coarse maps.

A pixel that does not count may hold anything in the label, NaN too. Multiplying by zero would let it through, in the
value or in the gradient, so both sides are replaced there before anything is computed.

Legend: B batch, C channels, H and W pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError


class DenseTerm(nn.Module, ABC):
    """`weight` times a loss of a dense field, in float32 at least, also under autocast.

    Called as `term(prediction, target, valid)` with (B, C, H, W), (B, C, H, W) and (B, 1, H, W) bool; the result is a
    scalar: the mean over the batch's images of each image's own loss, which is 0, with a gradient of 0, where none of
    its pixels counts. So several batches of one size, averaged, give the gradient of one large batch. A NaN prediction
    at a pixel that counts makes the loss NaN.

    Args:
        weight: factor of this term, 0 or more.
        released: the released form, where there is one: the mean over all pixels of the batch that count.

    Raises:
        SettingError: the weight is negative or not finite.
    """

    # What both sides hold at pixels that do not count, the same or one a channel: a subclass sets it where 0 is no
    # sensible value. None for forms that look at such neighbours as they are.
    fill_value: tuple[float, ...] | None = (0.0,)
    # Whether the prediction is what a sigmoid is still to be taken of, where the field is one.
    on_logits = False

    def __init__(self, weight: float = 1.0, released: bool = False) -> None:
        super().__init__()
        self.weight = positive(weight, f"{type(self).__name__}: `weight`", zero=True)
        self.released = released

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Scalar, from prediction and target (B, C, H, W) and valid (B, 1, H, W) bool."""
        with torch.autocast(prediction.device.type, enabled=False):
            prediction, target = prepare(prediction, target, valid, self.fill_value)
            return self.weight * self.value(prediction, target, valid)

    @abstractmethod
    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """The loss without its weight; what a subclass defines."""


def positive(number: float, where: str, *, zero: bool = False) -> float:
    """The number, if it is finite and above 0, or 0 where allowed.

    Raises:
        SettingError: it is not; the message begins with `where`.
    """
    if not (0 < number < float("inf") or (zero and number == 0)):
        raise SettingError(f"{where} is {number}, expected a number {'of 0 or more' if zero else 'above 0'}.")
    return float(number)


def prepare(
    prediction: Tensor, target: Tensor, valid: Tensor, fill_value: tuple[float, ...] | None
) -> tuple[Tensor, Tensor]:
    """Both sides in float32 at least, with `fill_value` at pixels that do not count.

    Without `fill_value` those pixels stay as they are, but for targets that are not finite, which become 0.
    """
    assert prediction.shape == target.shape, f"prediction {(*prediction.shape,)}, target {(*target.shape,)}"
    expected = (len(target), 1, *target.shape[2:])
    assert valid.shape == expected and valid.dtype == torch.bool, f"valid {(*valid.shape,)} {valid.dtype}"
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    prediction, target = prediction.to(dtype), target.to(dtype)
    if fill_value is None:
        return prediction, torch.where(valid | target.isfinite(), target, 0)
    fill = target.new_tensor(fill_value)[:, None, None]
    return torch.where(valid, prediction, fill), torch.where(valid, target, fill)


def masked_mean(values: Tensor, valid: Tensor, pooled: bool = False) -> Tensor:
    """Scalar: mean over images of the mean over an image's pixels that count of the sum over channels.

    An image where none counts adds 0, and is one of the images. Pooled, as the released losses are, it is the mean over
    the batch's pixels that count: an image then weighs as much as it has of them, and how much depends on the others.
    """
    total = torch.where(valid, values, 0).sum(dim=(1, 2, 3))
    count = valid.sum(dim=(1, 2, 3))
    if pooled:
        return total.sum() / count.sum().clamp(min=1)
    return (total / count.clamp(min=1)).mean()


def differences(values: Tensor, valid: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Forward differences along x, then along y, each with where both ends count."""
    yield values[..., :, 1:] - values[..., :, :-1], valid[..., :, 1:] & valid[..., :, :-1]
    yield values[..., 1:, :] - values[..., :-1, :], valid[..., 1:, :] & valid[..., :-1, :]


def squared_gradient(error: Tensor, valid: Tensor, pooled: bool = False) -> Tensor:
    """`masked_mean` of squared forward differences of (B, C, H, W) along x, plus that of those along y."""
    along_x, along_y = (masked_mean(step.square(), both, pooled) for step, both in differences(error, valid))
    return along_x + along_y


def absolute_gradient(error: Tensor, valid: Tensor) -> Tensor:
    """`masked_mean` of absolute forward differences of (B, C, H, W) along x, plus that of those along y."""
    along_x, along_y = (masked_mean(step.abs(), both) for step, both in differences(error, valid))
    return along_x + along_y


def coarsen(values: Tensor, valid: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Means (B, C, h, w) of the pixels that count in blocks of `factor`, and how many they are (B, 1, h, w).

    Blocks that stick out at the right and the bottom are kept; a block without a pixel that counts is 0.
    """
    kind = values.dtype
    total = _block_sum(torch.where(valid, values, 0), factor)
    count = _block_sum(valid.to(kind), factor)
    return total / count.clamp(min=1), count


def log_tail(error: Tensor, limit: float) -> Tensor:
    """An absolute error that grows only logarithmically above `limit`, so that outliers weigh less but still teach."""
    above = limit * (1 + torch.log(error.clamp(min=limit) / limit))
    return torch.where(error <= limit, error, above)


def _block_sum(values: Tensor, factor: int) -> Tensor:
    return F.avg_pool2d(values, factor, ceil_mode=True, divisor_override=1)
