"""Validation and test: averaged outputs, the losses and metrics of every head, and the score of them all."""

from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.validation_metrics import Scores, evaluated_only

LOG_NAMES = {"validate": "val", "test": "test"}  # of stages, as Lightning's commands name them


class Evaluator:
    """Measures a network, stage by stage.

    Args:
        flip_test: average with the mirrored image's result.
    """

    def __init__(self, flip_test: bool) -> None:
        self.flip_test = flip_test
        self.scores: dict[str, Scores] = {}  # of the stages that are under way

    def start(self, stage: str, heads: list[tuple[str, Head]], data: Any, device: torch.device) -> None:
        """Begin a stage (validate or test) with fresh metrics; `data` is the LightningDataModule in use, if any."""
        self.scores[stage] = Scores(heads, data, stage, device)

    def step(self, network: Network, batch: Batch, stage: str) -> dict[str, Outputs]:
        """Raw outputs of the heads that can be measured on this batch, after they were."""
        heads = {name: head for name, head in network.named_heads() if head.can_evaluate(batch)}
        if not heads:
            return {}
        outputs = network.evaluate(batch["image"], heads, flip=self.flip_test)
        for name, head in heads.items():
            own, counted = evaluated_only(outputs[name], batch)
            if not len(counted["image"]):
                continue
            if all(key in batch for key in head.targets):
                self.scores[stage].add_loss(name, own, counted)
            with full_precision(batch["image"].device):
                self.scores[stage].update(name, own, counted)
        return outputs

    def finish(self, stage: str) -> tuple[dict[str, float], dict[str, float]]:
        """Every loss and metric of a stage, and apart the score by which the best checkpoint is chosen, for the log."""
        values, of = self.scores.pop(stage).compute(), LOG_NAMES[stage]
        score = {f"{of}/score": values.pop("score")} if "score" in values else {}
        return {f"{of}/{name}": value for name, value in values.items()}, score

    def predict(self, network: Network, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """What a user gets from each head."""
        outputs = network.evaluate(batch["image"], flip=self.flip_test)
        with full_precision(batch["image"].device):
            return {name: head.predict(outputs[name], batch) for name, head in network.named_heads()}


@torch.no_grad()
def batch_metrics(head: Head, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
    """A head's metrics on one training batch of this rank, without waiting for others."""
    metrics = head.metrics().to(batch["image"].device)
    for metric in metrics.values():
        metric.sync_on_compute = False
    with full_precision(batch["image"].device):
        head.update(metrics, outputs, batch)
    return metrics.compute()


def full_precision(device: torch.device) -> torch.autocast:
    """Metrics and predictions are made of coordinates, which half precision would move by pixels."""
    return torch.autocast(device.type, enabled=False)
