"""How well class maps agree with their labels on where one class ends and another begins.

Legend: B batch, C classes, H and W rows and columns.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from sapiens2_lit.vocabularies import IGNORED

_TOLERANCE = 0.0075  # of the image's diagonal, as in Csurka et al.


class ClassBoundaryF1(Metric):
    """F1 of the classes' outlines, in 0..1 (Csurka et al., BMVC 2013, section 3): `boundary_f1`.

    A pixel lies on the outline of its class if one of its four neighbors has another class. A predicted outline pixel
    is correct if the label has an outline of the same class within 0.75 % of the image's diagonal (1 pixel or more) in
    both axes; a labeled one is found if the prediction has such an outline. Pixels are counted over all images, F1 is
    computed for each class, and the result is the mean over classes with an outline in labels or predictions. Pixels
    with a label of 255 in their 3 x 3 neighborhood are ignored. NaN if there is no outline.

    Args:
        num_classes: C.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    counts: Tensor  # (4, C): predicted and correct, predicted, labeled and found, labeled

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(4, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, labels: Tensor) -> None:
        """Add one batch of class maps (B, H, W) of any integer type; labels of 255 are ignored."""
        reach = max(1, round(_TOLERANCE * math.hypot(*labels.shape[-2:])))
        known = ~_within(labels == IGNORED, 1)
        found, true = (_outlines(classes) & known for classes in (prediction, labels))
        for index in range(self.num_classes):  # one at a time: all at once would take C maps
            a, b = found & (prediction == index), true & (labels == index)
            hits = (a & _within(b, reach)).sum(), (b & _within(a, reach)).sum()
            self.counts[:, index] += torch.stack([hits[0], a.sum(), hits[1], b.sum()])

    def compute(self) -> dict[str, Tensor]:
        right, found, hit, true = self.counts.double()
        precision, recall = right / found.clamp(min=1), hit / true.clamp(min=1)
        f1 = 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(torch.float64).tiny)
        return {"boundary_f1": f1[found + true > 0].mean().float()}  # without values it is NaN, as documented


def _outlines(classes: Tensor) -> Tensor:
    """Return where another class lies above, below, left or right, (B, H, W) bool."""
    found = torch.zeros_like(classes, dtype=torch.bool)
    for axis in (-1, -2):
        size = classes.shape[axis] - 1
        differ = classes.narrow(axis, 0, size) != classes.narrow(axis, 1, size)
        found.narrow(axis, 0, size).logical_or_(differ)
        found.narrow(axis, 1, size).logical_or_(differ)
    return found


def _within(where: Tensor, reach: int) -> Tensor:
    """Return where the square of `reach` pixels to each side contains a true pixel, (B, H, W) bool."""
    values = where[:, None].float()
    for kernel, padding in (((1, 2 * reach + 1), (0, reach)), ((2 * reach + 1, 1), (reach, 0))):
        values = F.max_pool2d(values, kernel, stride=1, padding=padding)
    return values[:, 0] > 0
