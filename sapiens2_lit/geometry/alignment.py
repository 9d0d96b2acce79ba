"""Scale and shift between a prediction and its label, for labels without metric scale.

Legend: B batch, C channels (3 of points, 1 of depth), H and W pixels.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Shift = Literal["none", "z", "all"]

_STEPS = 30  # of reweighting: enough to remove the influence of a third of gross outliers


class Alignment(NamedTuple):
    """Scale (B,) and shift (B, C), without gradient; the result of `apply` has the gradient of the prediction."""

    scale: Tensor
    shift: Tensor

    def apply(self, prediction: Tensor) -> Tensor:
        """Return scale * prediction + shift, (B, C, H, W)."""
        return self.scale[:, None, None, None] * prediction + self.shift[:, :, None, None]


@torch.no_grad()
def align(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    *,
    shift: Shift = "z",
    weight: Tensor | None = None,
    robust: bool = False,
) -> Alignment:
    """Return the scale and shift that bring a prediction nearest to its target.

    They minimize the sum over pixels and channels of weight * |scale * prediction + shift - target|, squared unless
    `robust`. The squared form has a closed solution. The robust form repeats it with new weights until squares become
    absolute values, as the alignment of MoGe (arXiv:2410.19115) requires. The scale is always positive. If the best
    scale is not, as for a prediction that is inside out, it is the ratio of the spreads, so that training can turn the
    prediction around; if a prediction has no spread, it is 1.

    Args:
        prediction: (B, C, H, W), float32 or float64.
        target: (B, C, H, W), float32 or float64.
        valid: (B, 1, H, W) bool; other pixels may hold anything.
        shift: `none` for no shift, `z` for a shift of the last channel, `all` for each channel.
        weight: (B, 1, H, W), 0 or more; None for 1.
        robust: Minimize absolute values instead of squares.
    """
    prediction, target = torch.where(valid, prediction, 0), torch.where(valid, target, 0)
    each = valid.to(target.dtype) if weight is None else torch.where(valid, weight, 0)
    each = each.expand_as(target)
    moves = torch.zeros(target.shape[1], dtype=torch.bool, device=target.device)
    if shift != "none":
        moves[-1 if shift == "z" else slice(None)] = True
    result = _least_squares(prediction, target, each, moves)
    if robust:
        extent = _mean(target.abs(), each, dim=(1, 2, 3))
        for _ in range(_STEPS):
            error = (result.apply(prediction) - target).abs()
            floor = 1e-6 * extent + 1e-3 * _mean(error, each, dim=(1, 2, 3))
            floor = torch.where(floor > 0, floor, 1)  # neither target nor error: weights do not matter
            result = _least_squares(prediction, target, each * (floor / torch.maximum(error, floor)), moves)
    return result


def relative_depth(depth: Tensor, valid: Tensor) -> Tensor:
    """Scale depth (B, 1, H, W) to 0..1 between the nearest and the farthest valid pixel; 0 if no pixel is valid."""
    nearest = torch.where(valid, depth, torch.inf).amin(dim=(1, 2, 3), keepdim=True)
    farthest = torch.where(valid, depth, -torch.inf).amax(dim=(1, 2, 3), keepdim=True)
    extent = farthest - nearest
    return torch.where(valid, depth - nearest, 0) / torch.where(extent > 0, extent, 1)


def standardize_depth(depth: Tensor, valid: Tensor, smallest: float = 1e-3) -> Tensor:
    """Return depth (B, 1, H, W) minus its median, divided by its mean absolute deviation: MiDaS (arXiv:1907.01341).

    The result and its gradient do not depend on the scale and the shift of the depth. Invalid pixels are 0.

    Args:
        depth: (B, 1, H, W), any unit.
        valid: (B, 1, H, W) bool; depth elsewhere may hold anything.
        smallest: Least deviation to divide by, so that the gradient of a flat prediction is bounded.
    """
    count = valid.sum(dim=(1, 2, 3))
    known = (count > 0)[:, None, None, None]
    # sorted, because torch.median has no deterministic form on GPUs; of two in the middle, the lower one
    order = torch.where(valid, depth, torch.inf).detach().flatten(1).argsort(dim=1)
    place = order.gather(1, ((count - 1).clamp(min=0) // 2)[:, None])
    median = depth.flatten(1).gather(1, place)[:, :, None, None]
    centred = torch.where(valid, depth - torch.where(known, median, 0), 0)
    spread = centred.abs().sum(dim=(1, 2, 3), keepdim=True) / count.clamp(min=1)[:, None, None, None]
    return centred / spread.clamp(min=smallest)


def _least_squares(prediction: Tensor, target: Tensor, weight: Tensor, moves: Tensor) -> Alignment:
    """Solve weighted least squares; `weight` is (B, C, H, W), `moves` (C,) says which channels shift."""
    from_bc = torch.where(moves, _mean(prediction, weight, dim=(2, 3)), 0)
    to_bc = torch.where(moves, _mean(target, weight, dim=(2, 3)), 0)
    centred = prediction - from_bc[:, :, None, None]
    wanted = target - to_bc[:, :, None, None]
    spread = (weight * centred.square()).sum(dim=(1, 2, 3))
    product = (weight * centred * wanted).sum(dim=(1, 2, 3))
    other = (weight * wanted.square()).sum(dim=(1, 2, 3))
    some = spread > 0
    spread = torch.where(some, spread, 1)
    scale = torch.where(product > 0, product, (other * spread).sqrt()) / spread
    scale = torch.where(some & (scale > 0), scale, 1)
    return Alignment(scale, to_bc - scale[:, None] * from_bc)


def _mean(values: Tensor, weight: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Return the weighted mean over `dim`, 0 where nothing has weight; keeps `dim` if it is all but the batch."""
    keep = len(dim) == 3
    total = weight.sum(dim=dim, keepdim=keep)
    return (weight * values).sum(dim=dim, keepdim=keep) / torch.where(total > 0, total, 1)
