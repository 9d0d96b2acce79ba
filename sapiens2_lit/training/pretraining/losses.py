"""Losses on class tokens and on features, in float32 for every precision of the run.

Legend: B images of this rank, R ranks, V views, K prototypes, C channels, N patches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.parallel import gather_with_gradient

EPS = 1e-8


def distillation_loss(student: Tensor, teacher: Tensor, global_views: int, temperature: float) -> Tensor:
    """Return the mean cross entropy of the student's views under the teacher's global views, without equal views.

    Args:
        student: Logits (B, V, K), the global views first.
        teacher: Probabilities (B, G, K) of the G global views.
        global_views: G.
        temperature: Temperature of the student.
    """
    logs = F.log_softmax(student.float() / temperature, dim=-1)
    pairs = -torch.einsum("btk,bsk->bts", teacher.float(), logs).mean(dim=0)  # (global_views, V)
    others = 1 - torch.eye(global_views, student.shape[1], device=pairs.device)
    return (pairs * others).sum() / others.sum()


def koleo_loss(tokens: Tensor) -> Tensor:
    """Return the negative mean logarithm of the distance to the nearest other image (KoLeo, arXiv:1806.03198).

    Neighbors are searched among the images of all ranks, so that the loss does not depend on the number of ranks.

    Args:
        tokens: Class tokens of this rank, (B, C).

    Raises:
        SettingError: There is only one image, which has no neighbor.
    """
    own = F.normalize(tokens.float(), dim=-1, eps=EPS)
    every, start = gather_with_gradient(own)
    if len(every) < 2:
        raise SettingError(
            "model.dino.koleo: found 1 image in a step, which has no neighbor; expected data.batch_size of 2 or more, "
            "or --model.dino.koleo 0"
        )
    with torch.no_grad():
        products = own @ every.T
        index = torch.arange(len(own), device=own.device)
        products[index, start + index] = -1
        nearest = products.argmax(dim=1)
    distances = F.pairwise_distance(own, every[nearest], p=2, eps=EPS)
    return -(distances + EPS).log().mean()


def contrast_loss(vectors: Tensor, temperature: float) -> Tensor:
    """Return InfoNCE (NT-Xent): each view must find the image's other view among all other views of all images.

    Args:
        vectors: Unit vectors of this rank, (B, 2, D).
        temperature: Temperature of the softmax.
    """
    every, start = gather_with_gradient(vectors.float())
    count, own = len(every), torch.arange(len(vectors), device=vectors.device)
    first, second = every.unbind(1)
    among = torch.cat([first, second])  # (2 R B, D)
    losses = []
    for view in (0, 1):
        logits = vectors[:, view].float() @ among.T / temperature
        itself = torch.zeros_like(logits, dtype=torch.bool)
        itself[own, view * count + start + own] = True
        logits = logits.masked_fill(itself, -torch.inf)
        losses.append(F.cross_entropy(logits, (1 - view) * count + start + own))
    return torch.stack(losses).mean()


def anchor_losses(features: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cosine distance of patch tokens to the start, and the mean squared difference of Gram matrices.

    Args:
        features: Patch tokens of the network that learns, (B, N, C).
        start: Patch tokens of the frozen network, (B, N, C).
    """
    x, y = (F.normalize(one.float(), dim=-1, eps=EPS) for one in (features, start))
    distance = 1 - (x * y).sum(dim=-1)
    gram = (x @ x.transpose(1, 2) - y @ y.transpose(1, 2)).square()
    return distance.mean(), gram.mean()
