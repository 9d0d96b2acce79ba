"""Detect the collapse of self-distillation, by the teacher's answers and the directions that features use."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sapiens2_lit.errors import TrainingError
from sapiens2_lit.parallel import gather_with_gradient, sum_over_ranks

LEAST_SHARE = 0.01  # of log K: if the entropy of the mean answer is below, one prototype takes all images
LEAST_INFORMATION = 1e-3  # nats: below this, the teacher gives every image the same answer
GRACE = 500  # steps without checks: a random teacher gives every image the same answer at first
PATIENCE = 3  # log steps in a row


@dataclass(frozen=True)
class TeacherState:
    """Statistics of a batch of the teacher's answers over all ranks, in nats.

    Attributes:
        entropy: Mean entropy over images.
        information: Entropy of the mean answer minus the mean entropy: how much an answer tells about the image.
        most: log K.
    """

    entropy: float
    information: float
    most: float

    @property
    def collapsed(self) -> bool:
        """Whether the teacher has collapsed."""
        return (
            self.entropy + self.information < LEAST_SHARE * self.most or self.information < LEAST_INFORMATION
        )


@torch.no_grad()
def teacher_state(probabilities: Tensor) -> TeacherState:
    """Return the statistics of answers (..., K) over all ranks; every rank must call it."""
    flat = probabilities.detach().float().flatten(0, -2)
    own = torch.cat([flat.sum(dim=0), entropy(flat).sum()[None], flat.new_tensor([float(len(flat))])])
    total = sum_over_ranks(own)
    mean, mean_entropy = total[:-2] / total[-1], float(total[-2] / total[-1])
    return TeacherState(mean_entropy, float(entropy(mean)) - mean_entropy, math.log(flat.shape[-1]))


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy of probabilities (..., K) over the last dimension, in nats."""
    return torch.special.entr(probabilities).sum(dim=-1)


@torch.no_grad()
def effective_rank(features: Tensor) -> float:
    """Return `effective_rank_of` the features (N, C) of all ranks."""
    every, _ = gather_with_gradient(features.detach().float())
    return effective_rank_of(every.cpu())


def effective_rank_of(features: Tensor) -> float:
    """Return how many directions features (N, C) use: exp of the entropy of singular values (arXiv:2210.02885)."""
    values = torch.linalg.svdvals(features)
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return float(entropy(shares).exp())


class CollapseGuard:
    """Ends a run if the teacher has given every image the same answer at several log steps in a row.

    Args:
        grace: Optimizer steps without checks.
    """

    def __init__(self, grace: int = GRACE) -> None:
        self.grace = grace
        self.found = 0

    def check(self, state: TeacherState, step: int) -> None:
        """Check one log step.

        Raises:
            TrainingError: Self-distillation has collapsed; raised on every rank, with what was found and what helps.
        """
        self.found = self.found + 1 if state.collapsed and step >= self.grace else 0
        if self.found < PATIENCE:
            return
        kind = (
            "one prototype takes all images"
            if state.entropy + state.information < LEAST_SHARE * state.most
            else "it gives every image the same answer"
        )
        raise TrainingError(
            f"step {step}: self-distillation has collapsed: the teacher's entropy is {state.entropy:.3f} of "
            f"{state.most:.3f} nats, and its answers tell {state.information:.4f} nats about the image: {kind}. The "
            "weights since then are useless. Start again with a lower --model.optimizer.lr, a larger batch, a "
            "--model.dino.teacher_temperature of [0.04, 0.04], or without contrast: --config pretrain/mae.yaml"
        )
