"""Scale and shift of least weighted absolute error: the alignment by which MoGe measures (arXiv:2410.19115).

Exact: without a shift the best scale is a weighted median of ratios. With one, the best shift of a scale is a weighted
median of what is left, and the error is convex in the scale, whose slope is halved down to its zero.

Legend: B batch, C channels (3 of points, 1 of depth), H and W pixels, N values of one channel.
"""

import torch
from torch import Tensor

from sapiens2_lit.geometry.alignment import Alignment

_MOST = 10_000  # pixels of a sample that are looked at, evenly spread
_HALVINGS = 100


@torch.no_grad()
def align_l1(
    prediction: Tensor, target: Tensor, valid: Tensor, *, shift: bool, weight: Tensor | None = None
) -> Alignment:
    """The scale, 0 or more, and shift of each channel at which weight * |scale * prediction + shift - target| is least.

    It is summed over channels and pixels; of more than 10,000 that count every second, third, ... is taken. A sample in
    which none counts keeps scale 1 and shift 0.

    Args:
        prediction, target: (B, C, H, W), float64 where the device has it.
        valid: (B, 1, H, W) bool, the pixels that count; the others may hold anything.
        shift: whether there is one; else it is 0.
        weight: (B, 1, H, W), above 0; 1 where absent.
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
    """Scalar: the weighted median of target / prediction; 1 where all predictions are 0."""
    some = p_cn != 0
    if not some.any():
        return t_cn.new_ones(())
    ratios = torch.where(some, t_cn, 0) / torch.where(some, p_cn, 1)
    return _median(ratios.reshape(1, -1), (w_cn * p_cn.abs()).reshape(1, -1))[0][0].clamp(min=0)


def _scale_and_shift(p_cn: Tensor, t_cn: Tensor, w_cn: Tensor) -> Tensor:
    """Scalar: the scale of least error where the shift is the best one."""
    low, high = t_cn.new_zeros(()), t_cn.new_ones(())
    if _slope(low, p_cn, t_cn, w_cn) >= 0:
        return low
    for _ in range(_HALVINGS):
        if _slope(high, p_cn, t_cn, w_cn) >= 0:
            break
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):  # there is no number between
            break
        if _slope(middle, p_cn, t_cn, w_cn) < 0:
            low = middle
        else:
            high = middle
    return high


def _slope(scale: Tensor, p_cn: Tensor, t_cn: Tensor, w_cn: Tensor) -> float:
    """How fast the error grows with the scale, the shift following: that of values about the one that is the median."""
    moved, place = _median(t_cn - scale * p_cn, w_cn)
    about = p_cn - p_cn.gather(1, place[:, None])
    return float((w_cn * (scale * p_cn + moved[:, None] - t_cn).sign() * about).sum())


def _median(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """(C,) weighted medians of values (C, N), the lower of two, and where they are."""
    order = values.argsort(dim=1)
    passed = weights.gather(1, order).cumsum(dim=1)
    half = (passed < passed[:, -1:] / 2).sum(dim=1, keepdim=True).clamp(max=values.shape[1] - 1)
    place = order.gather(1, half)
    return values.gather(1, place)[:, 0], place[:, 0]
