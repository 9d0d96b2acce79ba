"""Evaluate patch tokens without training: parts of the nearest tokens, and how many directions tokens fill.

Legend: N tokens, C channels, h and w cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sapiens2_lit.probing.bootstrap import Statistics
from sapiens2_lit.probing.features import SplitFeatures
from sapiens2_lit.probing.pictures import TaskLabels
from sapiens2_lit.probing.probes import by_picture
from sapiens2_lit.probing.sums import confusion, overlap
from sapiens2_lit.probing.tasks import Labels

NEIGHBORS = 20
_TEMPERATURE = 0.07  # of votes, as in DINO's kNN (arXiv:2104.14294)
_TOKENS = 20_000  # largest number to search
_QUERIES = 2048  # at a time
_BATCH = 32


def cell_classes(labels: Labels, grid: tuple[int, int], classes: int) -> tuple[Tensor, Tensor]:
    """Return the most frequent class in each cell, (B, H, W) of the grid, and whether the cell has a label at all.

    Args:
        labels: With `classes` and `valid`, (B, H, W).
        grid: (height, width) in cells.
        classes: Number of classes.
    """
    hot = F.one_hot(labels["classes"].long(), classes).permute(0, 3, 1, 2).float() * labels["valid"][:, None]
    shares = F.adaptive_avg_pool2d(hot, grid)
    return shares.argmax(dim=1), shares.sum(dim=1) > 0


def retrieve_parts(
    train: SplitFeatures,
    train_labels: TaskLabels,
    test: SplitFeatures,
    test_labels: TaskLabels,
    classes: int,
    seed: int = 0,
) -> Statistics:
    """Return a confusion matrix of each test picture, where a patch takes the class of its 20 nearest training patches.

    The nearest ones are found by cosine among at most 20,000 training patches; votes have the weight exp(cosine /
    0.07).

    Args:
        train: Maps of the training split.
        train_labels: Of the training split.
        test: Maps of the test split.
        test_labels: Of the test split.
        classes: Number of classes C.
        seed: Of the choice of training patches.

    Returns:
        `confusion`, (G, C, C) in cells.
    """
    keys, values = gather_tokens(train, train_labels, classes, seed)
    found = []
    for places in torch.arange(len(test_labels)).split(_BATCH):
        maps = test(test_labels.rows[places])
        grid = (maps.shape[2], maps.shape[3])
        label, known = cell_classes(test_labels.take(places), grid, classes)
        queries = F.normalize(maps.flatten(2).transpose(1, 2).flatten(0, 1), dim=1)
        votes = torch.cat([vote(part, keys, values, classes) for part in queries.split(_QUERIES)])
        predicted = votes.argmax(dim=1).view(len(maps), *grid).cpu()
        found.append(confusion(predicted, label, known, classes))
    return {"confusion": by_picture(torch.cat(found), test_labels.groups)}


def gather_tokens(train: SplitFeatures, labels: TaskLabels, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return normalized tokens (N, C) of the training pictures and their classes (N,), equally many from each picture.

    Args:
        train: Maps of the training split.
        labels: Of the training split.
        classes: Number of classes.
        seed: Of the choice.
    """
    generator = torch.Generator().manual_seed(seed)
    share = max(1, _TOKENS // len(labels))
    keys, values = [], []
    for places in torch.arange(len(labels)).split(_BATCH):
        maps = train(labels.rows[places])
        label, known = cell_classes(labels.take(places), (maps.shape[2], maps.shape[3]), classes)
        for one, own, sure in zip(maps.flatten(2), label.flatten(1), known.flatten(1), strict=True):
            cells = sure.nonzero()[:, 0]
            cells = cells[torch.randperm(len(cells), generator=generator)[:share]]
            keys.append(F.normalize(one[:, cells.to(one.device)].T, dim=1))
            values.append(own[cells])
    return torch.cat(keys), torch.cat(values).to(keys[0].device)


def vote(queries: Tensor, keys: Tensor, values: Tensor, classes: int) -> Tensor:
    """Return the weights of the classes of each query's nearest keys, (Q, K).

    Args:
        queries: (Q, C).
        keys: (N, C).
        values: (N,) classes of the keys.
        classes: Number of classes K.
    """
    near = (queries @ keys.T).topk(min(NEIGHBORS, len(keys)), dim=1)
    weights = (near.values / _TEMPERATURE).exp()
    return torch.zeros(len(queries), classes, device=queries.device).scatter_add_(
        1, values[near.indices], weights
    )


def retrieval_metrics(sums: Statistics) -> dict[str, Tensor]:
    """Return mIoU and mAcc of cells."""
    return overlap(sums["confusion"])


def effective_rank(train: SplitFeatures, pictures: int) -> float:
    """Return the exponential of the entropy of the singular values of standardized training tokens.

    RankMe (Garrido et al., ICML 2023, arXiv:2210.02885), after every channel has mean 0 and deviation 1.
    """
    total: Tensor | None = None
    for rows in torch.arange(pictures).split(_BATCH):
        tokens = train(rows).transpose(0, 1).flatten(1).double()
        product = tokens @ tokens.T
        total = product if total is None else total + product
    assert total is not None
    values = torch.linalg.eigvalsh(total.cpu()).clamp(min=0).sqrt()
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float((-(shares * shares.log()).sum()).exp())
