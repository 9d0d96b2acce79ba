"""Weight the losses of several heads against each other."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError, TrainingError
from sapiens2_lit.parallel.collectives import sum_over_ranks
from sapiens2_lit.parallel.dtensor import whole

Losses = dict[str, Tensor]


class LossWeighting(nn.Module, ABC):
    """Weights the loss of each head; built as `LossWeighting(heads, **settings)`.

    A batch may have labels for only some of the heads.

    Args:
        heads: Names of the heads.
    """

    def __init__(self, heads: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(heads)

    @abstractmethod
    def forward(self, losses: Losses) -> Losses:
        """Map the loss of each head that learns from this batch, a scalar, to the loss that is minimized."""

    def check(self, backbone_learns: bool) -> None:
        """Check at the start of a training that there is something to balance.

        Args:
            backbone_learns: Whether anything of the backbone is ever trained.

        Raises:
            SettingError: There is nothing; raised by subclasses.
        """

    def watch_gradients(self, head: str, features: list[Tensor]) -> list[Tensor]:
        """Return the feature maps (B, C, H, W) for one head, with hooks if its gradients are to be measured."""
        return features

    def update(self) -> None:
        """Update the weights once all gradients of an optimizer step exist."""

    def weights(self) -> dict[str, float]:
        """Return the factor of each head's loss, for the log."""
        return {}

    def index(self, head: str) -> int:
        """Return the position of a head."""
        return self.names.index(head)


class FixedWeights(LossWeighting):
    """A constant factor for each head.

    Args:
        heads: Names of the heads.
        weights: Factors by name; 1 for heads that are not listed.

    Raises:
        SettingError: A weight is negative or names no head.
    """

    def __init__(self, heads: Sequence[str], weights: dict[str, float] | None = None) -> None:
        super().__init__(heads)
        weights = weights or {}
        if unknown := sorted(weights.keys() - set(heads)):
            raise SettingError(
                f"model.loss_weighting.weights: found {', '.join(unknown)}; the heads are {', '.join(heads)}"
            )
        if negative := [name for name, weight in weights.items() if not weight >= 0]:
            raise SettingError(
                f"model.loss_weighting.weights: found {weights[negative[0]]} for {negative[0]}, expected 0 or more"
            )
        self.factors = {name: float(weights.get(name, 1.0)) for name in heads}

    def forward(self, losses: Losses) -> Losses:
        return {name: self.factors[name] * loss for name, loss in losses.items()}

    def weights(self) -> dict[str, float]:
        return self.factors


class UncertaintyWeighting(LossWeighting):
    """Learned weights: exp(-s) L + s for each head, with s its log variance (Kendall et al., CVPR 2018).

    The paper's factor of a half, common to both terms, is left out, since it only changes the scale of the learning
    rate.

    Args:
        heads: Names of the heads.
    """

    def __init__(self, heads: Sequence[str]) -> None:
        super().__init__(heads)
        self.log_variances = nn.Parameter(torch.zeros(len(heads)))

    def forward(self, losses: Losses) -> Losses:
        return {
            name: (-self.log_variances[self.index(name)]).exp() * loss + self.log_variances[self.index(name)]
            for name, loss in losses.items()
        }

    def weights(self) -> dict[str, float]:
        return dict(zip(self.names, (-whole(self.log_variances.detach())).exp().tolist(), strict=True))


class GradientNorms(LossWeighting):
    """Weights that give the heads' gradients the same size where they enter the backbone (GradNorm, ICML 2018).

    The gradient of each weighted loss is measured at the feature maps, in the normal backward pass. Its norm is brought
    to the mean norm times (relative loss ratio) ** alpha, so that heads that have learned less get more weight. The
    paper takes a gradient step toward that; here the weights are the solution itself, smoothed.

    Args:
        heads: Names of the heads.
        alpha: How much more weight a head gets that lags behind; 0 makes all norms equal. Above 0, losses must be
            positive.
        momentum: Momentum of the weights, 0 to below 1.

    Raises:
        SettingError: A setting is out of range.
    """

    def __init__(self, heads: Sequence[str], alpha: float = 0.5, momentum: float = 0.9) -> None:
        super().__init__(heads)
        if not alpha >= 0 or not 0 <= momentum < 1:
            raise SettingError(
                f"model.loss_weighting: found alpha {alpha} and momentum {momentum}, expected 0 or more and 0 to "
                "below 1"
            )
        self.alpha = alpha
        self.momentum = momentum
        count = len(self.names)
        self.factors: Tensor
        self.first_losses: Tensor
        self.register_buffer("factors", torch.ones(count))
        self.register_buffer("first_losses", torch.zeros(count))
        self._squares: dict[str, list[Tensor]] = {}  # of gradients at the feature maps, in this step
        self._losses: dict[str, list[Tensor]] = {}

    def forward(self, losses: Losses) -> Losses:
        for name, loss in losses.items():
            self._losses.setdefault(name, []).append(loss.detach())
        return {name: self.factors[self.index(name)] * loss for name, loss in losses.items()}

    def check(self, backbone_learns: bool) -> None:
        if len(self.names) < 2:
            raise SettingError(
                f"model.loss_weighting: GradientNorms has no effect with one head ({', '.join(self.names)}); expected "
                "two or more, or leave model.loss_weighting out"
            )
        if not backbone_learns:
            raise SettingError(
                "model.loss_weighting: GradientNorms measures gradients that enter the backbone, but it is frozen, so "
                "that heads share nothing that is trained; use FixedWeights, or train some of the backbone "
                "(model.adapt)"
            )

    def watch_gradients(self, head: str, features: list[Tensor]) -> list[Tensor]:
        """Return the feature maps (B, C, H, W) with hooks; without effect while the backbone gets no gradients."""
        tapped = [map_.view_as(map_) for map_ in features]
        for map_ in tapped:
            if map_.requires_grad:
                map_.register_hook(lambda gradient: self._measure(head, gradient))
        return tapped

    def _measure(self, head: str, gradient: Tensor) -> None:
        self._squares.setdefault(head, []).append(gradient.detach().float().square().sum())

    @torch.no_grad()
    def update(self) -> None:
        measured = [self.index(name) for name in self._squares if name in self._losses]
        norms = torch.zeros_like(self.factors)
        losses = torch.zeros_like(self.factors)
        for index in measured:
            name = self.names[index]
            norms[index] = torch.stack(self._squares[name]).sum().sqrt()
            losses[index] = torch.stack(self._losses[name]).mean()
        self._squares, self._losses = {}, {}
        norms, losses, count = self.reduce(norms, losses)
        self.first_losses.copy_(
            torch.where((self.first_losses == 0) & (count > 0), losses, self.first_losses)
        )
        # under 16-mixed a scaler skips steps whose gradients are not finite; weights must not follow from them
        known = (norms > 0) & norms.isfinite() & (count > 0)
        if int(known.sum()) > 1:
            self._solve(known, norms / self.factors, losses)

    def _solve(self, known: Tensor, norms: Tensor, losses: Tensor) -> None:
        """Move the factors of the `known` heads, by their unweighted gradients and losses; the sum does not change."""
        target = torch.ones_like(norms)
        if self.alpha:
            if bool((losses[known] <= 0).any() or (self.first_losses[known] <= 0).any()):
                raise TrainingError(
                    "model.loss_weighting: GradientNorms with alpha above 0 needs positive losses; set alpha to 0"
                )
            ratio = losses / self.first_losses.clamp(min=torch.finfo(losses.dtype).tiny)
            target = (ratio / ratio[known].mean()) ** self.alpha
        wanted = torch.where(known, target / norms.clamp(min=torch.finfo(norms.dtype).tiny), 0)
        wanted = wanted * (self.factors[known].sum() / wanted[known].sum())
        moved = self.momentum * self.factors + (1 - self.momentum) * wanted
        self.factors.copy_(torch.where(known, moved, self.factors))

    def reduce(self, norms: Tensor, losses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return each head's mean norms and losses over ranks, and the number of ranks that measured it, each (H,).

        Args:
            norms: Norms on this rank, (H,) for H heads.
            losses: Losses on this rank, (H,).
        """
        count = sum_over_ranks((norms > 0).to(norms.dtype))
        total = sum_over_ranks(torch.stack([norms, losses]))
        norms, losses = (total / count.clamp(min=1)).unbind()
        return norms, losses, count

    def weights(self) -> dict[str, float]:
        return dict(zip(self.names, self.factors.tolist(), strict=True))
