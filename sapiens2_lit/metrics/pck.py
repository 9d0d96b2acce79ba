"""Share of keypoints that lie close to their labels."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


class PCK(Metric):
    """Percentage of correct keypoints, as a share in 0..1 (Yang and Ramanan, TPAMI 2013).

    A labeled keypoint is correct if its prediction lies within a threshold times the longer side of the person's box.
    Keypoints of all people have the same weight. Without any labeled keypoint the result is NaN, since neither 0 nor 1
    would be true. A prediction that is not finite is not correct.

    Args:
        thresholds: Shares of the box's longer side, one result `PCK@threshold` for each.
        names: Names of the keypoints, for results `PCK@threshold/NAME` of the labeled ones; None for none.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    correct: Tensor
    labelled: Tensor

    def __init__(self, thresholds: Sequence[float] = (0.05, 0.1), names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.thresholds = tuple(thresholds)
        self.names = names
        counts = (1,) if names is None else (len(names),)  # all keypoints together, or each
        zeros = torch.zeros(len(self.thresholds), *counts, dtype=torch.int64)
        self.add_state("correct", zeros, dist_reduce_fx="sum")
        self.add_state("labelled", zeros[0].clone(), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, box_size: Tensor) -> None:
        """Add one batch.

        Args:
            prediction: (B, K, >= 2) x, y in input pixels.
            target: (B, K, 3) x, y in input pixels and v, positive where labeled.
            box_size: (B,) longer side of each person's box in input pixels.
        """
        labelled = target[..., 2] > 0
        distance = (prediction[..., :2].float() - target[..., :2].float()).norm(dim=-1) / box_size[:, None]
        hits = torch.stack([labelled & (distance <= threshold) for threshold in self.thresholds]).sum(dim=1)
        self.correct += hits.sum(dim=1, keepdim=True) if self.names is None else hits
        self.labelled += labelled.sum() if self.names is None else labelled.sum(dim=0)

    def compute(self) -> dict[str, Tensor]:
        share = self.correct.sum(dim=1) / self.labelled.sum()  # 0 / 0 is NaN, as documented
        found = {f"PCK@{threshold:g}": share[i] for i, threshold in enumerate(self.thresholds)}
        for index, name in enumerate(self.names or ()):
            if self.labelled[index]:
                shares = self.correct[:, index] / self.labelled[index]
                found |= {f"PCK@{value:g}/{name}": shares[i] for i, value in enumerate(self.thresholds)}
        return found
