"""Somebody else's loss of classes, kept from batches that have no labels.

Legend: B batch, C classes, H and W pixels.
"""

from torch import Tensor, nn

from sapiens2_lit.losses.masked import positive
from sapiens2_lit.vocabularies import IGNORED


class SkipUnlabelled(nn.Module):
    """`weight` times a loss of the samples that have a labeled pixel; 0, with a gradient of 0, where none has.

    For losses without a value where every pixel is ignored: of segmentation_models_pytorch, FocalLoss is then NaN and
    LovaszLoss no scalar. The term sees the samples with labels alone, so that its mean over the batch is over these.

    Args:
        term: called as `term(logits, labels)` with (B, C, H, W) and (B, H, W), to give a scalar; it must leave out
            labels of 255.
        weight: factor of this term, 0 or more.

    Raises:
        SettingError: the weight is negative or not finite.
    """

    def __init__(self, term: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        self.term = term
        self.weight = positive(weight, "SkipUnlabelled: `weight`", zero=True)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar, from logits (B, C, H, W) and labels (B, H, W) int64, 255 ignored."""
        labelled = (labels != IGNORED).flatten(1).any(dim=1)
        if not labelled.any():
            return 0.0 * logits.sum()  # part of the graph, so that the backward pass reaches every parameter
        if not labelled.all():
            logits, labels = logits[labelled], labels[labelled]
        return self.weight * self.term(logits, labels)
