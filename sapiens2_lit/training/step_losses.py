"""The losses of one training step, and what is logged about it."""

from collections.abc import Iterable

import lightning as L
import torch
from torch import Tensor

from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.training.evaluator import full_precision


class StepLosses:
    """The loss terms of one step, by head, over its batches.

    Args:
        parts: The batches.

    Attributes:
        samples: Names of all samples.
        size: Number of all samples.
    """

    def __init__(self, parts: Iterable[Batch]) -> None:
        parts = list(parts)
        self.samples: list[str] = [sample for part in parts for sample in part.get("sample", [])]
        self.size = sum(len(part["image"]) for part in parts)
        self._terms: dict[str, dict[str, list[Tensor]]] = {}

    def add(self, head: str, terms: dict[str, Tensor]) -> None:
        """Add the terms of a head on one batch."""
        for term, value in terms.items():
            self._terms.setdefault(head, {}).setdefault(term, []).append(value)

    def heads(self) -> dict[str, Tensor]:
        """Return the loss of each head: the sum of its terms, each a mean over the batches that have it.

        Batches without labels have only a teacher's terms; they must not reduce the weight of terms from labels.
        """
        return {name: whole_loss(terms) for name, terms in self._terms.items()}

    def terms(self) -> dict[str, Tensor]:
        """Return each term, averaged over batches, without gradients, as `HEAD/TERM`."""
        return {
            f"{head}/{term}": mean.detach()
            for head, terms in self._terms.items()
            for term, mean in zip(terms, means(terms), strict=True)
        }


def whole_loss(terms: dict[str, list[Tensor]]) -> Tensor:
    """Return the sum of the means of all terms, a scalar.

    If all batches have all terms, terms are summed batch by batch, which rounds like a single batch.
    """
    if len({len(values) for values in terms.values()}) == 1:
        batches = zip(*terms.values(), strict=True)
        return torch.stack([torch.stack(of_batch).sum() for of_batch in batches]).mean()
    return torch.stack(means(terms)).sum()


def means(terms: dict[str, list[Tensor]]) -> list[Tensor]:
    """Return the mean of each term, scalars."""
    return [torch.stack(values).mean() for values in terms.values()]


def log_losses(
    module: L.LightningModule, loss: Tensor, losses: StepLosses, weights: dict[str, float]
) -> None:
    """Log the whole loss, each term, and the weights of heads if there are several.

    Args:
        module: The module that logs.
        loss: The whole loss, a scalar without gradients.
        losses: The terms.
        weights: Weights of the heads' losses; empty in steps in which they are not logged.
    """
    module.log("train/loss", loss, prog_bar=True, batch_size=losses.size)
    terms = {f"train/{name}": value for name, value in losses.terms().items()}
    module.log_dict(terms, prog_bar=len(terms) > 1, batch_size=losses.size)
    if len(weights) > 1:
        named = {f"train/weight/{name}": weight for name, weight in weights.items()}
        module.log_dict(named, batch_size=losses.size)


def log_metrics(module: L.LightningModule, name: str, head: Head, outputs: Outputs, batch: Batch) -> None:
    """Log a head's metrics on one batch.

    Args:
        module: The module that logs.
        name: Name of the head.
        head: The head.
        outputs: Its raw outputs.
        batch: The batch.
    """
    values = {f"train/{name}/{key}": value for key, value in batch_metrics(head, outputs, batch).items()}
    module.log_dict(values, batch_size=len(batch["image"]))


def alone() -> bool:
    """Return False, to tell metrics of one batch that there are no other ranks."""
    return False


@torch.no_grad()
def batch_metrics(head: Head, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
    """Return a head's metrics on one training batch of this rank, scalars, without waiting for other ranks.

    Args:
        head: The head.
        outputs: Its raw outputs.
        batch: The batch.
    """
    metrics = head.metrics().to(batch["image"].device)
    for metric in metrics.values():
        metric.distributed_available_fn = alone
    with full_precision(batch["image"].device):
        head.update(metrics, outputs, batch)
    return metrics.compute()
