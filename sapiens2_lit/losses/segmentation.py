"""Losses of class logits against class maps.

Logits of 29 classes at 1024 x 768 take 91 MB in float32; a softmax, its square and its gradient take as much each. So
the terms are computed for a few samples at a time, and again in the backward pass, which keeps only the logits.

Legend: B batch, C classes, H and W pixels; n samples of a chunk.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import IGNORED, load_classes

_RAREST = 1e-4  # share of pixels below which the weight of a class does not grow any more
_CHUNK = 2**24  # elements of logits processed at once: 64 MB in float32


class CrossEntropy(nn.Module):
    """`weight` times the mean over all pixels of the class-weighted cross-entropy.

    Ignored pixels are part of the mean, as zeros, and the sum of class weights does not divide it: the released models
    were trained like this.

    Args:
        weight: Factor of this term.
        class_weights: One number for each class, or a vocabulary (name or file) whose weights are used; null for 1
            everywhere.

    Raises:
        SettingError: A weight is negative.
    """

    def __init__(self, weight: float = 1.0, class_weights: list[float] | str | Path | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.class_weights: tuple[float, ...] | None = None
        if isinstance(class_weights, str | Path):
            self.class_weights = load_classes(class_weights).weights
        elif class_weights is not None:
            self.class_weights = check_weights(class_weights, "CrossEntropy: `class_weights`")

    def forward(self, logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return a scalar from logits (B, C, H, W), labels (B, H, W) int64 and optional weights of pixels (B, H, W).

        Label 255 is ignored.

        Raises:
            SettingError: `class_weights` does not have one entry for each class.
        """
        weights = self.weights_on(logits.device)
        if weights is not None and len(weights) != logits.shape[1]:
            raise SettingError(
                f"{type(self).__name__}: `class_weights` has {len(weights)} entries, expected "
                f"{logits.shape[1]}, one for each class that the head predicts."
            )

        def mean_n(logits_nchw: Tensor, labels_nhw: Tensor, weight_nhw: Tensor | None = None) -> Tensor:
            each = None if weights is None else weights.to(logits_nchw.dtype)
            losses = F.cross_entropy(logits_nchw, labels_nhw, each, ignore_index=IGNORED, reduction="none")
            return (losses if weight_nhw is None else losses * weight_nhw).mean(dim=(1, 2))

        return self.weight * _by_chunks(mean_n, logits, labels, weight).mean()

    def weights_on(self, device: torch.device) -> Tensor | None:
        """Return the weights of the classes, (C,), on a device; None for 1 everywhere."""
        return None if self.class_weights is None else torch.tensor(self.class_weights, device=device)


class BalancedCrossEntropy(CrossEntropy):
    """Cross-entropy with class weights from the number of pixels that each class has in the training masks.

    The weights are set when training starts (`Head.setup`) and saved in checkpoints; until then they are 1.

    Args:
        num_classes: C.
        weight: Factor of this term.
    """

    balance: Tensor  # (C,)

    def __init__(self, num_classes: int, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.register_buffer("balance", torch.ones(num_classes))

    def init_weights(self) -> None:
        """Set the weight of every class to 1, in place."""
        self.balance.fill_(1.0)

    def set_counts(self, counts: Sequence[int]) -> None:
        """Set the weights from the number of pixels of each class.

        Raises:
            SettingError: `counts` does not have one number for each class, or is 0 everywhere.
        """
        if len(counts) != len(self.balance):
            raise SettingError(
                f"BalancedCrossEntropy: pixels of {len(counts)} classes were counted, expected {len(self.balance)} "
                "(`num_classes`): give the data the classes of the head."
            )
        self.balance.copy_(torch.tensor(balanced_weights(counts)))

    def weights_on(self, device: torch.device) -> Tensor:
        return self.balance.to(device)


class Dice(nn.Module):
    """`weight` times 1 - Dice, averaged over the foreground classes that a sample shows, then over samples.

    With p the softmax at labeled pixels and t the labels, Dice is (2 sum pt + eps) / (sum p² + sum t² + eps): V-Net
    (arXiv:1606.04797). A sample that shows none of these classes has a loss of 0.

    Args:
        weight: Factor of this term.
        background: Index of the class that is left out, or null.
        eps: Prevents extreme gradients of classes with few pixels.

    Raises:
        SettingError: `eps` is not above 0.
    """

    def __init__(self, weight: float = 1.0, background: int | None = 0, eps: float = 1e-3) -> None:
        super().__init__()
        if not eps > 0:
            raise SettingError(f"Dice: `eps` is {eps}, expected a number above 0.")
        self.weight = weight
        self.background = background
        self.eps = eps

    def forward(self, logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return a scalar from logits (B, C, H, W), labels (B, H, W) int64 and optional weights of pixels (B, H, W).

        Label 255 is ignored. With weights, each pixel is multiplied by its weight in Dice's sums, and each sample by
        the mean weight of its labeled pixels.
        """
        return self.weight * _by_chunks(self._loss_n, logits, labels, weight).mean()

    def _loss_n(self, logits_nchw: Tensor, labels_nhw: Tensor, weight_nhw: Tensor | None = None) -> Tensor:
        classes = torch.arange(logits_nchw.shape[1], device=logits_nchw.device)
        labels_n1hw = labels_nhw[:, None]
        p_nchw = logits_nchw.softmax(dim=1) * (labels_n1hw != IGNORED)
        t_nchw = labels_n1hw == classes[:, None, None]
        both_nchw, squares_nchw = p_nchw * t_nchw, p_nchw.square()
        if weight_nhw is not None:
            w_n1hw = weight_nhw[:, None]
            both_nchw, squares_nchw, t_nchw = both_nchw * w_n1hw, squares_nchw * w_n1hw, t_nchw * w_n1hw
        count_nc = t_nchw.sum(dim=(2, 3))
        dice_nc = (2 * both_nchw.sum(dim=(2, 3)) + self.eps) / (
            squares_nchw.sum(dim=(2, 3)) + count_nc + self.eps
        )
        shown_nc = count_nc > 0
        if self.background is not None:
            shown_nc[:, self.background] = False
        loss_n = ((1 - dice_nc) * shown_nc).sum(dim=1) / shown_nc.sum(dim=1).clamp(min=1)
        if weight_nhw is None:
            return loss_n
        labelled_nhw = labels_nhw != IGNORED
        return (
            loss_n * (weight_nhw * labelled_nhw).sum(dim=(1, 2)) / labelled_nhw.sum(dim=(1, 2)).clamp(min=1)
        )


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return class weights from pixel counts: 1 / sqrt(share of all pixels), scaled to a mean of 1 over pixels.

    The scaling keeps the loss in proportion to other terms. The root is a compromise between no balance and the balance
    of Eigen and Fergus (arXiv:1411.4734), which gives a few pixels of lips as much influence as half an image of
    background. A class with less than one pixel in 10,000 gets the weight of one with that many; a class without pixels
    gets 1.

    Raises:
        SettingError: All counts are 0.
    """
    shares = torch.tensor(counts, dtype=torch.float64)
    if not shares.sum() > 0:
        raise SettingError("class_weights: auto: the training masks have no labeled pixel.")
    shares = shares / shares.sum()
    weights = shares.clamp(min=_RAREST).rsqrt()
    weights /= (shares * weights).sum()
    weights[shares == 0] = 1.0
    return tuple(weights.tolist())


def check_weights(weights: Sequence[float], where: str) -> tuple[float, ...]:
    """Return the weights as floats.

    Raises:
        SettingError: A weight is negative or not finite, or all are 0.
    """
    values = tuple(float(weight) for weight in weights)
    if not all(0 <= value < float("inf") for value in values) or not any(values):
        raise SettingError(f"{where} is {list(weights)}, expected numbers of 0 or more, not all 0.")
    return values


def _by_chunks(
    loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Apply `loss`, which gives one loss for each sample (B,), in float32 or better and outside autocast."""
    assert logits.shape[2:] == labels.shape[1:], f"logits {tuple(logits.shape)}, labels {tuple(labels.shape)}"
    beside = (labels,) if weight is None else (labels, weight)

    def in_float32(logits_nchw: Tensor, *beside_n: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return loss(logits_nchw.to(torch.promote_types(logits.dtype, torch.float32)), *beside_n)

    step = max(1, _CHUNK // max(1, logits[0].numel()))
    if step >= len(logits):
        return in_float32(logits, *beside)
    # `split` instead of slices: the backward pass of each slice would allocate a gradient of all logits.
    return torch.cat(
        [
            checkpoint(in_float32, *chunk, use_reentrant=False, preserve_rng_state=False)
            for chunk in zip(logits.split(step), *(one.split(step) for one in beside), strict=True)
        ]
    )
