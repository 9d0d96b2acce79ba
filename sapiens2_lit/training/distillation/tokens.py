"""Losses between feature maps of networks of any width: of tokens, and of similarities between tokens.

Each is the mean over images of the image's value. Legend: B images, C channels, h and w cells, N = h w tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST_TOKENS = 1024  # largest number of tokens compared with each other; larger grids are halved
_ITSELF = -1e4  # replaces a token's similarity with itself, which has no information
_LEAST = 1e-6  # smallest root mean square of a teacher's features


def make_projection(student: int, teacher: int) -> nn.Linear:
    """Return the layer from the student's to the teacher's channels; it starts as the identity if they are equal."""
    layer = nn.Linear(student, teacher)
    with torch.no_grad():
        nn.init.zeros_(layer.bias)
        if student == teacher:
            nn.init.eye_(layer.weight)
        else:
            nn.init.orthogonal_(layer.weight)
    return layer


def feature_terms(features: Tensor, teacher: Tensor, projection: nn.Module) -> dict[str, Tensor]:
    """Return the mean of 1 - cosine between projected tokens and the teacher's, and the smooth L1 of their values.

    Values are divided by the root mean square of the teacher's map of each image, so that the loss has no unit.

    Args:
        features: Features of the student, (B, C, H, W).
        teacher: Features of the teacher, (B, D, H', W'); resized to the student's grid.
        projection: Maps C to D channels, on the last dimension.
    """
    target = to_grid(teacher.float(), features.shape[-2:]).flatten(2).transpose(1, 2)
    own = projection(features.flatten(2).transpose(1, 2)).float()
    with torch.autocast(own.device.type, enabled=False):
        unit = target.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=_LEAST)
        return {
            "cosine": (1 - F.cosine_similarity(own, target, dim=-1)).mean(),
            "smooth_l1": F.smooth_l1_loss(own / unit, target / unit),
        }


def relation_terms(features: Tensor, teacher: Tensor, temperature: float) -> dict[str, Tensor]:
    """Return the KL divergence of each token's softmax over its similarities with the image's other tokens.

    Args:
        features: Features of the student, (B, C, H, W).
        teacher: Features of the teacher, of any width, (B, D, H', W'); no projection is needed.
        temperature: Temperature of the softmax over cosines.
    """
    grid = smaller_grid(features.shape[-2:], teacher.shape[-2:])
    with torch.autocast(features.device.type, enabled=False):
        own, target = (similarities(to_grid(one.float(), grid), temperature) for one in (features, teacher))
        return {"kl": (target.exp() * (target - own)).sum(dim=-1).mean()}


def similarities(maps: Tensor, temperature: float) -> Tensor:
    """Return the log-softmax of each token's cosines with all others, (B, N, N), from maps (B, C, h, w)."""
    tokens = F.normalize(maps.flatten(2).transpose(1, 2), dim=-1)
    cosines = tokens @ tokens.transpose(1, 2) / temperature
    itself = torch.eye(cosines.shape[-1], dtype=torch.bool, device=maps.device)
    return cosines.masked_fill(itself, _ITSELF).log_softmax(dim=-1)


def to_grid(maps: Tensor, grid: torch.Size | tuple[int, int]) -> Tensor:
    """Resize maps (B, C, H, W) to a grid, averaged where the grid is coarser."""
    if tuple(maps.shape[-2:]) == tuple(grid):
        return maps
    return F.interpolate(maps, tuple(grid), mode="bilinear", align_corners=False, antialias=True)


def smaller_grid(one: torch.Size, other: torch.Size) -> tuple[int, int]:
    """Return the coarser of two grids, halved until it has `MOST_TOKENS` cells or fewer."""
    height, width = min((tuple(one), tuple(other)), key=lambda grid: grid[0] * grid[1])
    while height * width > MOST_TOKENS:
        height, width = max(1, height // 2), max(1, width // 2)
    return height, width
