"""How well depth maps agree on where one thing ends before another.

Legend: B batch, H and W rows and columns, T thresholds.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from sapiens2_lit.metrics.sums import check_maps

_THRESHOLDS = tuple(1.05 + 0.2 * i / 9 for i in range(10))  # ratios of depth, Depth Pro's


class BoundaryF1(Metric):
    """F1 of the depth map's steps, in 0..1 (Depth Pro, arXiv:2410.02073, section 3.2):
    `depth_pro_boundary_f1`.

    A pixel and its neighbor are a step where the farther depth is more than a threshold times the nearer; a found step
    counts where the label has it between the same two pixels, in the same direction. Pairs with an invalid end
    do not take part. Counts are of all images; F1 is averaged over thresholds from 1.05 to 1.25, higher ones weighing
    more, and over those alone at which there is a step. It depends on no scale. A prediction that is not above 0 has no
    steps. NaN where neither labels nor predictions have a step. MoGe's tables have a boundary F1 of another definition,
    whose weights run from 0.05 to 0.25: the two cannot be compared.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    counts: Tensor  # (3, T): steps in both, found, labeled

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(3, len(_THRESHOLDS), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Take one batch of depth (B, 1, H, W), above 0 in the labels, where `valid` (B, 1, H, W)."""
        check_maps(prediction, target, valid, channels=1)
        target = torch.where(valid, target.float(), 1)
        for axis in (-1, -2):
            size = valid.shape[axis] - 1
            pairs = valid.narrow(axis, 0, size) & valid.narrow(axis, 1, size)
            found, true = (
                torch.stack([_ratio(depth, axis, 1), _ratio(depth, axis, 0)])
                for depth in (prediction.float(), target)
            )
            self.counts += torch.stack([_count(found, true, pairs, step) for step in _THRESHOLDS], dim=1)

    def compute(self) -> dict[str, Tensor]:
        both, found, true = self.counts
        steps = found + true
        f1 = 2 * both / steps.clamp(min=1)
        weights = torch.tensor(_THRESHOLDS, device=f1.device) * (steps > 0)
        return {"depth_pro_boundary_f1": (weights * f1).sum() / weights.sum()}  # 0 / 0 is NaN, as documented


def _ratio(depth: Tensor, axis: int, farther: int) -> Tensor:
    """Depth of one of two neighbors over the other's; 0 where one is not in front of the camera."""
    size = depth.shape[axis] - 1
    near, far = depth.narrow(axis, 1 - farther, size), depth.narrow(axis, farther, size)
    return torch.where((near > 0) & (far > 0), far / near, 0)


def _count(found: Tensor, true: Tensor, pairs: Tensor, step: float) -> Tensor:
    """(3,) steps in both, found and labeled."""
    found, true = (found > step) & pairs, (true > step) & pairs
    return torch.stack([(found & true).sum(), found.sum(), true.sum()])
