"""Count what a head confuses: classes with other classes, left keypoints with right ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sapiens2_lit.heads.base import Batch, Head
from sapiens2_lit.vocabularies import IGNORED, Classes, Skeleton

_APART = 0.1  # share of the person's box; closer partners are not told apart


@dataclass(frozen=True)
class Swaps:
    """How often a keypoint was predicted nearer to its mirror partner.

    Attributes:
        name: Of the keypoint.
        partner: Name of the keypoint of the other side.
        seen: Labeled people whose two points lie apart.
        swapped: Those of them whose prediction lies nearer to the partner's label.
    """

    name: str
    partner: str
    seen: int
    swapped: int

    @property
    def share(self) -> float:
        """The share of people whose points were swapped."""
        return self.swapped / self.seen


class Mistakes:
    """Counts of one head's confusions over all batches of a test.

    Args:
        classes: Of a head that predicts class maps, else None.
        skeleton: Of a head that predicts keypoints, else None.
    """

    def __init__(self, classes: Classes | None, skeleton: Skeleton | None) -> None:
        self.classes = classes
        self.skeleton = skeleton
        count = 0 if classes is None else classes.num_classes
        self.confusion = torch.zeros(count, count, dtype=torch.int64)  # label, prediction: pixels
        points = 0 if skeleton is None else skeleton.num_keypoints
        self.sides = torch.zeros(2, points, dtype=torch.int64)  # seen, swapped

    @classmethod
    def of(cls, head: Head) -> "Mistakes":
        """Return empty counts for a head, for what its targets allow."""
        return cls(
            head.classes if "segmentation" in head.targets else None,
            head.skeleton if "keypoints" in head.targets else None,
        )

    def update(self, prediction: dict[str, Tensor], batch: Batch) -> None:
        """Add a batch.

        Args:
            prediction: In pixels of the input: `segmentation` (B, H, W) or `keypoints` (B, K, 3).
            batch: Labels under the same keys; also `box` and `affine` for people.
        """
        if self.classes is not None and "segmentation" in prediction:
            self._count_classes(prediction["segmentation"].cpu().long(), batch["segmentation"].cpu().long())
        if self.skeleton is not None and "keypoints" in prediction:
            self._count_sides(prediction["keypoints"].cpu().float(), batch)

    def _count_classes(self, predicted: Tensor, labels: Tensor) -> None:
        count = len(self.confusion)
        known = (labels != IGNORED) & (labels < count) & (predicted < count)
        pairs = labels[known] * count + predicted[known]
        self.confusion += torch.bincount(pairs, minlength=count * count).view(count, count)

    def _count_sides(self, predicted: Tensor, batch: Batch) -> None:
        assert self.skeleton is not None
        truth = batch["keypoints"].cpu().float()
        swap = torch.tensor(self.skeleton.swap)
        partner = truth[:, swap]
        size = (truth[..., :2].amax(1) - truth[..., :2].amin(1)).amax(1, keepdim=True)
        if "box" in batch and "affine" in batch:
            zoom = torch.linalg.det(batch["affine"].cpu()[:, :, :2]).abs().sqrt()
            size = (batch["box"].cpu()[:, 2:].amax(1) * zoom)[:, None]
        apart = (truth[..., :2] - partner[..., :2]).norm(dim=-1) > _APART * size
        seen = (truth[..., 2] > 0) & (partner[..., 2] > 0) & apart
        to_own = (predicted[..., :2] - truth[..., :2]).norm(dim=-1)
        to_partner = (predicted[..., :2] - partner[..., :2]).norm(dim=-1)
        self.sides += torch.stack([seen.sum(0), (seen & (to_partner < to_own)).sum(0)])

    def add(self, confusion: Tensor, sides: Tensor) -> None:
        """Add the counts of another process.

        Args:
            confusion: (C, C) pixels by label and prediction.
            sides: (2, K) people with both points apart, and those of them who are swapped.
        """
        self.confusion = self.confusion + confusion
        self.sides = self.sides + sides

    def swaps(self) -> list[Swaps]:
        """Return the keypoints that were swapped with their mirror partner at least once, largest share first."""
        if self.skeleton is None:
            return []
        names, swap = self.skeleton.keypoints, self.skeleton.swap
        found = [
            Swaps(names[place], names[swap[place]], seen, swapped)
            for place, (seen, swapped) in enumerate(self.sides.T.tolist())
            if swapped
        ]
        return sorted(found, key=lambda one: (-one.share, one.name))

    def sides_seen(self) -> int:
        """Return the number of keypoints that could have been swapped."""
        return int(self.sides[0].sum())

    def present(self) -> Sequence[int]:
        """Return the classes that occur in labels or predictions."""
        return torch.nonzero(self.confusion.sum(0) + self.confusion.sum(1)).flatten().tolist()
