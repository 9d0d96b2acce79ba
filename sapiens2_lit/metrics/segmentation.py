"""How well class maps agree with their labels."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import IGNORED


class SegmentationIoU(Metric):
    """Intersection over union, Dice, class and pixel accuracy over all pixels of all images, as shares in 0..1.

    All results come from one confusion matrix, summed over batches and processes:
        mIoU: Mean over classes that occur in the labels or in the predictions.
        mIoU_with_absent: Mean over all classes; classes that never occur have 0, as in the released evaluation.
        foreground_mIoU: `mIoU` without the background.
        mDice: Mean of 2 hits / (labeled + predicted) over the same classes as `mIoU`; it equals 2 IoU / (1 + IoU).
        mAcc: Mean over labeled classes of the share of their pixels that is found.
        accuracy: Share of all pixels that is correct.
        IoU/NAME, Dice/NAME: Of each class that occurs, if `names` are given; the others are absent.
    All are NaN if no pixel is labeled.

    Args:
        num_classes: C.
        background: Index of the class that `foreground_mIoU` leaves out, or None.
        names: Names of the C classes, to score each; None for means alone.

    Raises:
        SettingError: `background` is not a class, or there are not C names.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor  # (C, C): label, prediction
    greatest_label: Tensor  # (): the greatest label that was not ignored

    def __init__(
        self, num_classes: int, background: int | None = 0, names: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        if names is not None and len(names) != num_classes:
            raise SettingError(
                f"SegmentationIoU: `names` has {len(names)} entries, expected {num_classes}, one for each class."
            )
        if background is not None and not 0 <= background < num_classes:
            raise SettingError(
                f"SegmentationIoU: `background` is {background}, expected 0..{num_classes - 1}."
            )
        self.num_classes = num_classes
        self.background = background
        self.names = None if names is None else tuple(names)
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("confusion", zeros, dist_reduce_fx="sum")
        self.add_state("greatest_label", torch.tensor(0), dist_reduce_fx="max")

    def update(self, prediction: Tensor, labels: Tensor) -> None:
        """Add one batch of class maps (B, H, W) of any integer type; labels of 255 are ignored.

        Raises:
            SettingError: A label is not a class. On a GPU, `compute` raises this, so that `update` need not wait for
                the device.
        """
        labels = labels.long()
        counted = labels != IGNORED
        beyond = torch.where(counted, labels, 0).amax()
        self.greatest_label = torch.maximum(self.greatest_label, beyond)
        if labels.device.type == "cpu":
            self._check_labels()
        bins = self.num_classes**2  # and one more for ignored pixels
        place = (
            torch.where(counted, labels * self.num_classes + prediction.long(), bins)
            .clamp(max=bins)
            .flatten()
        )
        counts = torch.zeros(bins + 1, dtype=torch.int64, device=place.device)
        counts.scatter_add_(0, place, torch.ones_like(place))
        self.confusion += counts[:bins].view_as(self.confusion)

    def _check_labels(self) -> None:
        if int(self.greatest_label) >= self.num_classes:
            raise SettingError(
                f"segmentation labels hold class {int(self.greatest_label)}, the head predicts {self.num_classes} "
                f"classes, 0..{self.num_classes - 1}: give the data the classes of the head."
            )

    def per_class(self) -> Tensor:
        """Return the intersection over union of each class, (C,); NaN for classes that never occur."""
        hits, union = self._hits_and_union()
        return hits / union  # 0 / 0 is NaN, as documented

    def compute(self) -> dict[str, Tensor]:
        self._check_labels()
        hits, union = self._hits_and_union()
        iou, labelled = hits / union, self.confusion.sum(dim=1)
        dice = 2 * hits / (union + hits)
        known = torch.where(labelled.sum() > 0, 1.0, torch.nan)
        foreground = torch.ones_like(labelled, dtype=torch.bool)
        if self.background is not None:
            foreground[self.background] = False
        return {
            "mIoU": iou.nanmean() * known,
            "mIoU_with_absent": (hits / union.clamp(min=1)).mean() * known,
            "foreground_mIoU": iou[foreground].nanmean() * known,
            "mDice": dice.nanmean() * known,
            "mAcc": (hits / labelled).nanmean() * known,
            "accuracy": hits.sum() / labelled.sum(),
            **self._by_name("IoU", iou * known),
            **self._by_name("Dice", dice * known),
        }

    def _by_name(self, score: str, values: Tensor) -> dict[str, Tensor]:
        """Return the score of each class that occurs; counts are summed, so all processes have the same classes."""
        if self.names is None:
            return {}
        absent = values.isnan().tolist()
        return {
            f"{score}/{name}": value
            for name, value, unseen in zip(self.names, values, absent, strict=True)
            if not unseen
        }

    def _hits_and_union(self) -> tuple[Tensor, Tensor]:
        hits = self.confusion.diagonal()
        return hits, self.confusion.sum(dim=0) + self.confusion.sum(dim=1) - hits
