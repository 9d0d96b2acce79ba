"""Scale and shift with the least weighted absolute error: the alignment by which MoGe measures (arXiv:2410.19115).

The solution is exact. Without a shift, the best scale is a weighted median of ratios. With a shift, the best shift for
a scale is a weighted median of the residuals, and the error is convex in the scale; bisection finds the zero of its
slope.

Legend: B batch, C channels (3 of points, 1 of depth), H and W pixels, N values of one channel.
"""

import torch
from torch import Tensor

from sapiens2_lit.geometry.alignment import Alignment

_MOST = 10_000  # pixels of a sample that are used, evenly spread
_HALVINGS = 100


@torch.no_grad()
def align_l1(
    prediction: Tensor, target: Tensor, valid: Tensor, *, shift: bool, weight: Tensor | None = None
) -> Alignment:
    """Return the scale, 0 or more, and the shift of each channel that minimize the weighted absolute error.

    The error is weight * |scale * prediction + shift - target|, summed over channels and pixels. If more than 10,000
    pixels are valid, only every second, third, and so on is used. A sample without valid pixels gets scale 1 and shift
    0.

    Args:
        prediction: (B, C, H, W), float64 if the device has it.
        target: (B, C, H, W), likewise.
        valid: (B, 1, H, W) bool; other pixels may hold anything.
        shift: Whether to fit a shift; otherwise it is 0.
        weight: (B, 1, H, W), above 0; None for 1.
    """
    scales, shifts = [], []
    weights = torch.ones_like(target[:, :1]) if weight is None else weight
    for p_chw, t_chw, w_1hw, valid_1hw in zip(prediction, target, weights, valid, strict=True):
        counts = valid_1hw[0].flatten().nonzero()[:, 0]
        counts = counts[:: -(-len(counts) // _MOST) or 1]
        p_cn, t_cn, w_cn = (part.flatten(1)[:, counts] for part in (p_chw, t_chw, w_1hw.expand_as(t_chw)))
        scale, moved = t_cn.new_ones(()), t_cn.new_zeros(len(t_cn))
        if len(counts):
            scale = _scale_and_shift(p_cn, t_cn, w_cn) if shift else _scale(p_cn, t_cn, w_cn)
            moved = _median(t_cn - scale * p_cn, w_cn)[0] if shift else moved
        scales.append(scale)
        shifts.append(moved)
    return Alignment(torch.stack(scales), torch.stack(shifts))


def _scale(p_cn: Tensor, t_cn: Tensor, w_cn: Tensor) -> Tensor:
    """Return the weighted median of target / prediction, a scalar; 1 if all predictions are 0."""
    some = p_cn != 0
    if not some.any():
        return t_cn.new_ones(())
    ratios = torch.where(some, t_cn, 0) / torch.where(some, p_cn, 1)
    return _median(ratios.reshape(1, -1), (w_cn * p_cn.abs()).reshape(1, -1))[0][0].clamp(min=0)


def _scale_and_shift(p_cn: Tensor, t_cn: Tensor, w_cn: Tensor) -> Tensor:
    """Return the scale of least error, a scalar, with the best shift for each scale."""
    low, high = t_cn.new_zeros(()), t_cn.new_ones(())
    if _slope(low, p_cn, t_cn, w_cn) >= 0:
        return low
    for _ in range(_HALVINGS):
        if _slope(high, p_cn, t_cn, w_cn) >= 0:
            break
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):  # no number lies between them
            break
        if _slope(middle, p_cn, t_cn, w_cn) < 0:
            low = middle
        else:
            high = middle
    return high


def _slope(scale: Tensor, p_cn: Tensor, t_cn: Tensor, w_cn: Tensor) -> float:
    """Return the derivative of the error by the scale, while the shift stays the best one.

    It is the derivative with values taken relative to the value at the median.
    """
    moved, place = _median(t_cn - scale * p_cn, w_cn)
    about = p_cn - p_cn.gather(1, place[:, None])
    return float((w_cn * (scale * p_cn + moved[:, None] - t_cn).sign() * about).sum())


def _median(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted medians (C,) of values (C, N), the lower of two, and their positions."""
    order = values.argsort(dim=1)
    passed = weights.gather(1, order).cumsum(dim=1)
    half = (passed < passed[:, -1:] / 2).sum(dim=1, keepdim=True).clamp(max=values.shape[1] - 1)
    place = order.gather(1, half)
    return values.gather(1, place)[:, 0], place[:, 0]
