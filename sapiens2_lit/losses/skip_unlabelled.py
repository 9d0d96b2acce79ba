"""A wrapper that keeps samples without labels from another library's segmentation loss.

Legend: B batch, C classes, H and W pixels.
"""

from torch import Tensor, nn

from sapiens2_lit.losses.masked import positive
from sapiens2_lit.vocabularies import IGNORED


class SkipUnlabelled(nn.Module):
    """`weight` times a loss over the samples that have a labeled pixel; 0, with a gradient of 0, if none has.

    It is for losses without a value where every pixel is ignored: FocalLoss of segmentation_models_pytorch then gives
    NaN, and LovaszLoss no scalar. The term only sees samples with labels, so a mean over the batch is a mean over
    these.

    Args:
        term: Called as `term(logits, labels)` with (B, C, H, W) and (B, H, W), returns a scalar; it must ignore labels
            of 255.
        weight: Factor of this term, 0 or more.

    Raises:
        SettingError: The weight is negative or not finite.
    """

    def __init__(self, term: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        self.term = term
        self.weight = positive(weight, "SkipUnlabelled: `weight`", zero=True)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar from logits (B, C, H, W) and labels (B, H, W) int64; label 255 is ignored."""
        labelled = (labels != IGNORED).flatten(1).any(dim=1)
        if not labelled.any():
            return 0.0 * logits.sum()  # stays in the graph, so that the backward pass reaches every parameter
        if not labelled.all():
            logits, labels = logits[labelled], labels[labelled]
        return self.weight * self.term(logits, labels)
