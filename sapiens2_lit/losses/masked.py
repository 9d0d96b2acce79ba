"""What the losses of dense fields share: pixels that do not count, masked means, differences, coarse maps.

`valid` is bool, or holds weights 0..1 (`data.confidence`): 0 does not count, 1 is the same as true. A weight multiplies
what its pixel adds to a mean over all pixels that count; a term that is no such mean is made of weighted means, and
weights of one value everywhere multiply it.

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
    # sensible value. None for forms that look at such neighbors as they are.
    fill_value: tuple[float, ...] | None = (0.0,)
    # Whether the prediction is what a sigmoid is still to be taken of, where the field is one.
    on_logits = False

    def __init__(self, weight: float = 1.0, released: bool = False) -> None:
        super().__init__()
        self.weight = positive(weight, f"{type(self).__name__}: `weight`", zero=True)
        self.released = released

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Scalar, from prediction and target (B, C, H, W) and valid (B, 1, H, W), bool or weights."""
        with torch.autocast(prediction.device.type, enabled=False):
            prediction, target = prepare(prediction, target, valid, self.fill_value)
            return self.weight * self.value(prediction, target, valid)

    @abstractmethod
    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss without its weight; what a subclass defines."""


def positive(number: float, where: str, *, zero: bool = False) -> float:
    """Return the number, if it is finite and above 0, or 0 where allowed.

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
    known = valid.dtype == torch.bool or valid.is_floating_point()
    assert valid.shape == expected and known, f"valid {(*valid.shape,)} {valid.dtype}"
    valid = counted(valid)
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    prediction, target = prediction.to(dtype), target.to(dtype)
    if fill_value is None:
        return prediction, torch.where(valid | target.isfinite(), target, 0)
    fill = target.new_tensor(fill_value)[:, None, None]
    return torch.where(valid, prediction, fill), torch.where(valid, target, fill)


def counted(valid: Tensor) -> Tensor:
    """Bool: where pixels count, by `valid` of bool or of weights."""
    return valid if valid.dtype == torch.bool else valid > 0


def weigh(values: Tensor, valid: Tensor) -> Tensor:
    """Values times their weights, 0 where they do not count."""
    if valid.dtype == torch.bool:
        return torch.where(valid, values, 0)
    return torch.where(valid > 0, values * valid, 0)


def mean_weight(valid: Tensor) -> Tensor | None:
    """(B,) mean weight of each image's pixels that count; None for `valid` of bool, where it is 1."""
    if valid.dtype == torch.bool:
        return None
    return valid.sum(dim=(1, 2, 3)) / counted(valid).sum(dim=(1, 2, 3)).clamp(min=1)


def masked_mean(values: Tensor, valid: Tensor, pooled: bool = False) -> Tensor:
    """Scalar: mean over images of the mean over an image's pixels that count of the sum over channels.

    An image where none counts adds 0, and is one of the images. Pooled, as the released losses are, it is the mean over
    the batch's pixels that count: an image then weighs as much as it has of them, and how much depends on the others.
    """
    total = weigh(values, valid).sum(dim=(1, 2, 3))
    count = counted(valid).sum(dim=(1, 2, 3))
    if pooled:
        return total.sum() / count.sum().clamp(min=1)
    return (total / count.clamp(min=1)).mean()


def differences(values: Tensor, valid: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Forward differences along x, then along y, each with where both ends count; of weights the smaller one."""
    both = torch.logical_and if valid.dtype == torch.bool else torch.minimum
    yield values[..., :, 1:] - values[..., :, :-1], both(valid[..., :, 1:], valid[..., :, :-1])
    yield values[..., 1:, :] - values[..., :-1, :], both(valid[..., 1:, :], valid[..., :-1, :])


def squared_gradient(error: Tensor, valid: Tensor, pooled: bool = False) -> Tensor:
    """`masked_mean` of squared forward differences of (B, C, H, W) along x, plus that of those along y."""
    along_x, along_y = (masked_mean(step.square(), both, pooled) for step, both in differences(error, valid))
    return along_x + along_y


def absolute_gradient(error: Tensor, valid: Tensor) -> Tensor:
    """`masked_mean` of absolute forward differences of (B, C, H, W) along x, plus that of those along y."""
    along_x, along_y = (masked_mean(step.abs(), both) for step, both in differences(error, valid))
    return along_x + along_y


def coarsen(values: Tensor, valid: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Means (B, C, h, w) of the pixels that count in blocks of `factor`, and how many they are (B, 1, h, w), or weigh.

    Blocks that stick out at the right and the bottom are kept; a block without a pixel that counts is 0.
    """
    kind = values.dtype
    total = _block_sum(weigh(values, valid), factor)
    count = _block_sum(valid.to(kind), factor)
    if valid.dtype == torch.bool:
        return total / count.clamp(min=1), count
    return total / torch.where(count > 0, count, 1), count


def coarse_valid(count: Tensor, valid: Tensor, factor: int) -> Tensor:
    """`valid` of the blocks of `coarsen`: whether any of their pixels counts, or the mean weight of those that do."""
    if valid.dtype == torch.bool:
        return count > 0
    return count / _block_sum(counted(valid).to(count.dtype), factor).clamp(min=1)


def log_tail(error: Tensor, limit: float) -> Tensor:
    """An absolute error that grows only logarithmically above `limit`, so that outliers weigh less but still teach."""
    above = limit * (1 + torch.log(error.clamp(min=limit) / limit))
    return torch.where(error <= limit, error, above)


def _block_sum(values: Tensor, factor: int) -> Tensor:
    return F.avg_pool2d(values, factor, ceil_mode=True, divisor_override=1)
