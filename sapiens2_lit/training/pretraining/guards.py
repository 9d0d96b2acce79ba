"""Whether self-distillation collapses: what the teacher says, and how many directions features use."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sapiens2_lit.errors import TrainingError
from sapiens2_lit.parallel import gather_with_gradient, sum_over_ranks

LEAST_SHARE = 0.01  # of log K: below that entropy of the mean answer, one prototype takes all images
LEAST_INFORMATION = 1e-3  # nats: below that the teacher says the same of every image
GRACE = 500  # steps from which on it is looked at: at first a random teacher says the same of every image
PATIENCE = 3  # log steps in a row


@dataclass(frozen=True)
class TeacherState:
    """What is known of a batch of the teacher's answers, over all ranks, in nats.

    Attributes:
        entropy: mean over images.
        information: entropy of the mean answer, less the mean entropy: how much an answer tells of the image.
        most: log K.
    """

    entropy: float
    information: float
    most: float

    @property
    def collapsed(self) -> bool:
        return (
            self.entropy + self.information < LEAST_SHARE * self.most or self.information < LEAST_INFORMATION
        )


@torch.no_grad()
def teacher_state(probabilities: Tensor) -> TeacherState:
    """Return the state of answers (..., K) of this rank and all others; every rank must ask."""
    flat = probabilities.detach().float().flatten(0, -2)
    own = torch.cat([flat.sum(dim=0), entropy(flat).sum()[None], flat.new_tensor([float(len(flat))])])
    total = sum_over_ranks(own)
    mean, mean_entropy = total[:-2] / total[-1], float(total[-2] / total[-1])
    return TeacherState(mean_entropy, float(entropy(mean)) - mean_entropy, math.log(flat.shape[-1]))


def entropy(probabilities: Tensor) -> Tensor:
    """In nats, over the last dimension."""
    return torch.special.entr(probabilities).sum(dim=-1)


@torch.no_grad()
def effective_rank(features: Tensor) -> float:
    """How many directions features (n, C) of all ranks use: exp of the entropy of singular values (2210.02885)."""
    every, _ = gather_with_gradient(features.detach().float())
    values = torch.linalg.svdvals(every.cpu())
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return float(entropy(shares).exp())


class CollapseGuard:
    """Ends a run in which the teacher has said the same of every image at several log steps in a row.

    Args:
        grace: optimizer steps in which it is not looked at.
    """

    def __init__(self, grace: int = GRACE) -> None:
        self.grace = grace
        self.found = 0

    def check(self, state: TeacherState, step: int) -> None:
        """Look at one log step.

        Raises:
            TrainingError: on every rank alike; says what was found and what helps.
        """
        self.found = self.found + 1 if state.collapsed and step >= self.grace else 0
        if self.found < PATIENCE:
            return
        kind = (
            "one prototype takes all images"
            if state.entropy + state.information < LEAST_SHARE * state.most
            else "it says the same of every image"
        )
        raise TrainingError(
            f"step {step}: self-distillation has collapsed: the teacher's entropy is {state.entropy:.3f} of "
            f"{state.most:.3f} nats, and its answers tell {state.information:.4f} nats of the image: {kind}. The "
            "weights since then are worth nothing. Start again with a lower --model.optimizer.lr, a larger batch, a "
            "--model.dino.teacher_temperature of [0.04, 0.04], or without contrast: --config pretrain/mae.yaml"
        )
