"""What the losses of dense tasks share: invalid pixels, masked means, differences, coarse maps.

`valid` is bool, or holds weights in 0..1 (`data.confidence`): 0 is invalid, 1 is the same as true. In a mean over all
valid pixels, a weight multiplies what its pixel adds. Other terms are computed from weighted means, so that one weight
everywhere multiplies them.

An invalid pixel may hold any label, NaN included. Multiplication by zero would not remove it from the value or the
gradient, so both sides are replaced there before anything is computed.

Legend: B batch, C channels, H and W pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError


class DenseTerm(nn.Module, ABC):
    """`weight` times a loss of a dense map, computed in float32 or better, also under autocast.

    It is called as `term(prediction, target, valid)` with (B, C, H, W), (B, C, H, W) and (B, 1, H, W) bool, and gives a
    scalar: the mean over the batch's images of each image's loss. An image without valid pixels has a loss of 0 with a
    gradient of 0. So the average of several batches of one size has the gradient of one large batch. A NaN prediction
    at a valid pixel makes the loss NaN.

    Args:
        weight: Factor of this term, 0 or more.
        released: Use the released form, if there is one: the mean over all valid pixels of the batch.

    Raises:
        SettingError: The weight is negative or not finite.
    """

    # What both sides hold at invalid pixels, one number or one for each channel; a subclass sets it where 0 makes no
    # sense. None for forms that use invalid neighbors unchanged.
    fill_value: tuple[float, ...] | None = (0.0,)
    # Whether the term takes logits, if the head's map is a sigmoid of them.
    on_logits = False

    def __init__(self, weight: float = 1.0, released: bool = False) -> None:
        super().__init__()
        self.weight = positive(weight, f"{type(self).__name__}: `weight`", zero=True)
        self.released = released

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return a scalar from prediction and target (B, C, H, W) and `valid` (B, 1, H, W), bool or weights."""
        with torch.autocast(prediction.device.type, enabled=False):
            prediction, target = prepare(prediction, target, valid, self.fill_value)
            return self.weight * self.value(prediction, target, valid)

    @abstractmethod
    def value(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss without its weight, a scalar; subclasses define it.

        `prediction` and `target` are (B, C, H, W), filled at invalid pixels; `valid` is (B, 1, H, W), bool or weights.
        """


def positive(number: float, where: str, *, zero: bool = False) -> float:
    """Return a number that is finite and above 0, or that is 0 where allowed.

    Args:
        number: The number.
        where: What it is, for the error.
        zero: Whether 0 is allowed.

    Raises:
        SettingError: The number is out of range; the message begins with `where`.
    """
    if not (0 < number < float("inf") or (zero and number == 0)):
        raise SettingError(f"{where} is {number}, expected a number {'of 0 or more' if zero else 'above 0'}.")
    return float(number)


def prepare(
    prediction: Tensor, target: Tensor, valid: Tensor, fill_value: tuple[float, ...] | None
) -> tuple[Tensor, Tensor]:
    """Return both sides in float32 or better, with `fill_value` at invalid pixels.

    Args:
        prediction: (B, C, H, W).
        target: (B, C, H, W).
        valid: (B, 1, H, W), bool or weights.
        fill_value: One number, or one for each channel. None: invalid pixels stay, but targets that are not finite
            become 0.
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
    """Return where pixels are valid as bool, of the same shape, from `valid` in bool or in weights."""
    return valid if valid.dtype == torch.bool else valid > 0


def weigh(values: Tensor, valid: Tensor) -> Tensor:
    """Multiply values (B, C, H, W) by their weights (B, 1, H, W), with 0 at invalid pixels."""
    if valid.dtype == torch.bool:
        return torch.where(valid, values, 0)
    return torch.where(valid > 0, values * valid, 0)


def mean_weight(valid: Tensor) -> Tensor | None:
    """Return the mean weight (B,) of each image's valid pixels; None if `valid` is bool, where it is 1."""
    if valid.dtype == torch.bool:
        return None
    return valid.sum(dim=(1, 2, 3)) / counted(valid).sum(dim=(1, 2, 3)).clamp(min=1)


def masked_mean(values: Tensor, valid: Tensor, pooled: bool = False) -> Tensor:
    """Return the scalar mean over images of the mean over each image's valid pixels.

    Args:
        values: (B, C, H, W), summed over channels.
        valid: (B, 1, H, W), bool or weights.
        pooled: Take the mean over all valid pixels of the batch, as the released losses do: an image with more valid
            pixels then weighs more. Otherwise an image without valid pixels adds 0 to the mean over images.
    """
    total = weigh(values, valid).sum(dim=(1, 2, 3))
    count = counted(valid).sum(dim=(1, 2, 3))
    if pooled:
        return total.sum() / count.sum().clamp(min=1)
    return (total / count.clamp(min=1)).mean()


def differences(values: Tensor, valid: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield forward differences of (B, C, H, W) along x, then along y, each with its `valid`.

    A difference is valid if both its pixels are; of two weights it gets the smaller.
    """
    both = torch.logical_and if valid.dtype == torch.bool else torch.minimum
    yield values[..., :, 1:] - values[..., :, :-1], both(valid[..., :, 1:], valid[..., :, :-1])
    yield values[..., 1:, :] - values[..., :-1, :], both(valid[..., 1:, :], valid[..., :-1, :])


def squared_gradient(error: Tensor, valid: Tensor, pooled: bool = False) -> Tensor:
    """Return `masked_mean` of squared forward differences along x, plus the same along y; a scalar.

    Args:
        error: (B, C, H, W).
        valid: (B, 1, H, W), bool or weights.
        pooled: See `masked_mean`.
    """
    along_x, along_y = (masked_mean(step.square(), both, pooled) for step, both in differences(error, valid))
    return along_x + along_y


def absolute_gradient(error: Tensor, valid: Tensor) -> Tensor:
    """Return `masked_mean` of absolute forward differences of (B, C, H, W) along x, plus the same along y."""
    along_x, along_y = (masked_mean(step.abs(), both) for step, both in differences(error, valid))
    return along_x + along_y


def coarsen(values: Tensor, valid: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Average the valid pixels of each block.

    Blocks that reach over the right or the bottom edge are kept. A block without valid pixels is 0.

    Args:
        values: (B, C, H, W).
        valid: (B, 1, H, W), bool or weights.
        factor: Side of a block in pixels, f.

    Returns:
        The means (B, C, H/f, W/f), and the number of valid pixels or their summed weight (B, 1, H/f, W/f); sizes are
            rounded up.
    """
    kind = values.dtype
    total = _block_sum(weigh(values, valid), factor)
    count = _block_sum(valid.to(kind), factor)
    if valid.dtype == torch.bool:
        return total / count.clamp(min=1), count
    return total / torch.where(count > 0, count, 1), count


def coarse_valid(count: Tensor, valid: Tensor, factor: int) -> Tensor:
    """Return `valid` of the blocks that `coarsen` gives, (B, 1, H/f, W/f).

    A block is valid if any of its pixels is; its weight is the mean weight of its valid pixels.

    Args:
        count: From `coarsen`, (B, 1, H/f, W/f).
        valid: What `coarsen` was called with, (B, 1, H, W).
        factor: Side of a block in pixels, f.
    """
    if valid.dtype == torch.bool:
        return count > 0
    return count / _block_sum(counted(valid).to(count.dtype), factor).clamp(min=1)


def log_tail(error: Tensor, limit: float) -> Tensor:
    """Return an absolute error, of any shape, that grows only logarithmically above `limit`.

    Outliers weigh less, but keep a gradient.
    """
    above = limit * (1 + torch.log(error.clamp(min=limit) / limit))
    return torch.where(error <= limit, error, above)


def _block_sum(values: Tensor, factor: int) -> Tensor:
    return F.avg_pool2d(values, factor, ceil_mode=True, divisor_override=1)
