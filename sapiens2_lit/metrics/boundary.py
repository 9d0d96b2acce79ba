"""How well depth maps agree on where one thing ends in front of another.

Legend: B batch, H and W rows and columns, T thresholds.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from sapiens2_lit.metrics.sums import check_maps

_THRESHOLDS = tuple(1.05 + 0.2 * i / 9 for i in range(10))  # ratios of depth, from Depth Pro


class BoundaryF1(Metric):
    """F1 of the depth map's steps, in 0..1 (Depth Pro, arXiv:2410.02073, section 3.2): `depth_pro_boundary_f1`.

    A pixel and its neighbor form a step if the farther depth is more than a threshold times the nearer depth. A
    predicted step is correct if the label has one between the same two pixels, in the same direction. Pairs with an
    invalid pixel are ignored. Steps are counted over all images. F1 is averaged over thresholds from 1.05 to 1.25 at
    which there is a step, with more weight for higher ones. It does not depend on scale. Predictions that are not above
    0 have no steps. The result is NaN if neither labels nor predictions have a step. The boundary F1 in MoGe's tables
    has another definition, with weights from 0.05 to 0.25, and cannot be compared with this one.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    counts: Tensor  # (3, T): steps in both, in predictions, in labels

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(3, len(_THRESHOLDS), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add one batch of depth (B, 1, H, W) where `valid` (B, 1, H, W) is true; labels are above 0 there."""
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
    """Return the ratio of the depths of two neighbors; 0 if one is not in front of the camera."""
    size = depth.shape[axis] - 1
    near, far = depth.narrow(axis, 1 - farther, size), depth.narrow(axis, farther, size)
    return torch.where((near > 0) & (far > 0), far / near, 0)


def _count(found: Tensor, true: Tensor, pairs: Tensor, step: float) -> Tensor:
    """Return the number of steps in both, in the prediction and in the label, (3,)."""
    found, true = (found > step) & pairs, (true > step) & pairs
    return torch.stack([(found & true).sum(), found.sum(), true.sum()])
