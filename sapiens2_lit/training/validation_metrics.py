"""Losses and metrics of every head over one validation or test, exact over processes."""

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from sapiens2_lit.heads.base import Batch, Head, Outputs, bounded
from sapiens2_lit.parallel import gather_over_ranks


class Scores:
    """Losses and metrics of each head, over batches that may have labels for only some heads.

    Args:
        heads: The heads by name.
        data: The LightningDataModule in use.
        stage: validate or test.
        device: Device of the outputs.
    """

    def __init__(self, heads: list[tuple[str, Head]], data: Any, stage: str, device: torch.device) -> None:
        self.heads = dict(heads)
        self.device = device
        self.metrics = {name: head.metrics(data, stage).to(device) for name, head in heads}
        self.losses: dict[str, dict[str, MeanMetric]] = {name: {} for name in self.heads}

    def add_loss(self, name: str, outputs: Outputs, batch: Batch) -> None:
        """Add the loss terms of one batch, each a mean over its samples."""
        size = len(batch["image"])
        terms = self.heads[name].loss(outputs, batch)
        whole = torch.stack(list(terms.values())).sum()
        for term, value in {**terms, "loss": whole}.items():
            if term not in self.losses[name]:
                self.losses[name][term] = MeanMetric(nan_strategy="disable").to(self.device)
            self.losses[name][term].update(value.float().expand(size))

    def update(self, name: str, outputs: Outputs, batch: Batch) -> None:
        """Update a head's metrics with one batch; call it outside autocast."""
        self.heads[name].update(self.metrics[name], outputs, batch)

    def compute(self) -> dict[str, float]:
        """Return all values as `HEAD/KEY`, `loss` as the sum over heads, and `score` as the mean of their scores.

        A head is scored by its `score`, or by its negative loss if that is NaN.
        """
        self._share_terms()
        found: dict[str, float] = {}
        scores, losses = [], []
        for name, head in self.heads.items():
            values = {key: float(value) for key, value in self.metrics[name].compute().items()}
            values |= {term: float(mean.compute()) for term, mean in self.losses[name].items()}
            loss = values.get("loss", math.nan)
            score = head.score(values)
            scores.append(bounded(-loss) if math.isnan(score) else score)
            losses.append(loss)
            found |= {f"{name}/{key}": value for key, value in values.items()}
        scores, losses = ([one for one in each if not math.isnan(one)] for each in (scores, losses))
        if losses:
            found["loss"] = sum(losses)
        if scores:
            found["score"] = sum(scores) / len(scores)
        return found

    def _share_terms(self) -> None:
        """Let all processes know all loss terms in one order; processes without samples take part in the means, too."""
        known: dict[str, dict[str, MeanMetric]] = {name: {} for name in self.losses}
        for part in gather_over_ranks({name: list(terms) for name, terms in self.losses.items()}):
            for name, terms in part.items():
                for term in terms:
                    known[name][term] = self.losses[name].get(term) or self._mean_of_nothing()
        self.losses = known

    def _mean_of_nothing(self) -> MeanMetric:
        mean = MeanMetric(nan_strategy="disable").to(self.device)
        mean.update(torch.zeros(0))  # avoids a warning; without NaN checks, a weight of 0 would be taken as 1
        return mean


def evaluated_only(outputs: Outputs, batch: Batch) -> tuple[Outputs, Batch]:
    """Return outputs and batch without the samples that are not evaluated, which only fill up the last batch."""
    keep = batch.get("evaluated")
    if keep is None or bool(keep.all()):
        return outputs, batch
    if isinstance(outputs, Tensor):
        own: Outputs = outputs[keep]
    else:
        own = {key: value[keep] for key, value in outputs.items()}
    rows = keep.tolist()

    def of_own(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[keep]
        if isinstance(value, list | tuple):
            return [one for one, kept in zip(value, rows, strict=True) if kept]
        return value  # of the whole batch, such as its dataset's name

    return own, {key: of_own(value) for key, value in batch.items()}
