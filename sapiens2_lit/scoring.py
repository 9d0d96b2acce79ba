"""Losses and metrics of every head over one validation or test, exact over processes."""

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import MeanMetric

from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.parallel.ranks import several_ranks


class Scores:
    """What is measured of each head, over batches of which each may have the labels of some heads only.

    Args:
        heads: by name.
        data: the LightningDataModule in use.
        stage: validate or test.
        device: where outputs will be.
    """

    def __init__(self, heads: list[tuple[str, Head]], data: Any, stage: str, device: torch.device) -> None:
        self.heads = dict(heads)
        self.device = device
        self.metrics = {name: head.metrics(data, stage).to(device) for name, head in heads}
        self.losses: dict[str, dict[str, MeanMetric]] = {name: {} for name in self.heads}

    def add_loss(self, name: str, outputs: Outputs, batch: Batch) -> None:
        """Take in the loss terms of one batch, each a mean over its samples."""
        size = len(batch["image"])
        terms = self.heads[name].loss(outputs, batch)
        whole = torch.stack(list(terms.values())).sum()
        for term, value in {**terms, "loss": whole}.items():
            self._mean(name, term).update(value.float().expand(size))

    def _mean(self, name: str, term: str) -> MeanMetric:
        means = self.losses[name]
        if term not in means:
            means[term] = MeanMetric(nan_strategy="disable").to(self.device)
        return means[term]

    def _agree(self) -> None:
        """Give every process the same loss terms in the same order: one may have had no sample of a small dataset."""
        if not several_ranks():
            return
        everywhere: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everywhere, {name: list(means) for name, means in self.losses.items()})
        for name in self.heads:
            terms = dict.fromkeys(term for found in everywhere for term in found[name])
            for term in terms:
                self._mean(name, term).update(0.0, 0.0)  # of no weight
            self.losses[name] = {term: self.losses[name][term] for term in terms}

    def update(self, name: str, outputs: Outputs, batch: Batch) -> None:
        """Take one batch into the metrics of a head; outside autocast."""
        self.heads[name].update(self.metrics[name], outputs, batch)

    def compute(self) -> dict[str, float]:
        """Everything as `HEAD/KEY`, and `score`: the mean over heads of how good each is, higher is better.

        How good a head is says the metric that it names (`monitor`); without a value of it, minus its loss.
        """
        self._agree()
        found: dict[str, float] = {}
        scores = []
        for name, head in self.heads.items():
            values = {key: float(value) for key, value in self.metrics[name].compute().items()}
            values |= {term: float(mean.compute()) for term, mean in self.losses[name].items()}
            key, mode = head.monitor
            if math.isnan(values.get(key, math.nan)):
                key, mode = "loss", "min"
            if not math.isnan(values.get(key, math.nan)):
                scores.append(values[key] * (1.0 if mode == "max" else -1.0))
            found |= {f"{name}/{key}": value for key, value in values.items()}
        if scores:
            found["score"] = sum(scores) / len(scores)
        return found


def counted_only(outputs: Outputs, batch: Batch) -> tuple[Outputs, Batch]:
    """Without the samples that another process counts (`counted` in the batch); they were given to keep step."""
    keep = batch.get("counted")
    if keep is None or bool(keep.all()):
        return outputs, batch
    if isinstance(outputs, Tensor):
        own: Outputs = outputs[keep]
    else:
        own = {key: value[keep] for key, value in outputs.items()}
    return own, {key: _rows(value, keep) for key, value in batch.items()}


def _rows(value: Any, keep: Tensor) -> Any:
    """Those of a batch's value; what is said of the whole batch, such as the name of its dataset, stays."""
    if isinstance(value, Tensor):
        return value[keep]
    if isinstance(value, list | tuple):
        return [one for one, kept in zip(value, keep.tolist(), strict=True) if kept]
    return value
